"""The command line: hypersweep …, kubectl sweep …"""
