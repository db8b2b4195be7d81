"""What Argo CD, Flux and kstatus make of a resource, computed here as they do: no cluster has to run them."""
