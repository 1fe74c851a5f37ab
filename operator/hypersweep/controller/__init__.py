"""The loop: observe, decide, act. Only handlers.py knows kopf."""
