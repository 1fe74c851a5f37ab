"""All of it on a real node: images from the Dockerfile, the chart by Helm, sweeps by kubectl, real containers."""
