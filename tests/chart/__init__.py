"""The chart and the image, without a cluster."""
