# `tflint --init && tflint --recursive --config "$PWD/.tflint.hcl"`, in this directory. The rules for Terraform come
# with tflint itself.
config {
  call_module_type = "local"
}

plugin "terraform" {
  enabled = true
  preset  = "recommended"
}

plugin "aws" {
  enabled = true
  version = "0.38.0"
  source  = "github.com/terraform-linters/tflint-ruleset-aws"
}
