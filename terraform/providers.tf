provider "aws" {
  region = var.region

  # These do not reach what a scaling group starts. The module node_group tags its machines, volumes and interfaces.
  default_tags {
    tags = local.tags
  }
}
