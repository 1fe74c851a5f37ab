"""The Helm chart: what it renders to, that it can be installed, and that its generated parts are up to date."""
