provider "aws" {
  region = var.region

  # These do not reach what a scaling group starts: module node_group tags its machines, volumes and interfaces itself.
  default_tags {
    tags = local.tags
  }
}
