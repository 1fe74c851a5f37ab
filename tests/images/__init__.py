"""What goes into the images: the locked requirements. The images themselves are built and run in tests/e2e."""
