locals {
  buckets = {
    # site.yml can make bundles again. Old ones are kept for machines that are booting at the moment.
    bundles   = { force_destroy = true, noncurrent_days = 7 }
    snapshots = { force_destroy = var.destroy_snapshots, noncurrent_days = var.snapshot_days }
    # Loki and Tempo delete old data themselves. Keeping what they deleted only costs money.
    logs   = { force_destroy = true, noncurrent_days = 1 }
    traces = { force_destroy = true, noncurrent_days = 1 }
  }
  # The value of a parameter until site.yml has written it. Machines then wait.
  unset = "unset"
}

resource "aws_s3_bucket" "this" {
  for_each = local.buckets

  bucket        = "${var.bucket_prefix}-${each.key}"
  force_destroy = each.value.force_destroy

  tags = { Name = "${var.name}-${each.key}" }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = aws_s3_bucket.this

  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket_versioning.this[each.key].bucket

  rule {
    id     = "deleted-and-replaced"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = each.value.noncurrent_days
    }

    expiration {
      expired_object_delete_marker = true
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "NoPlainHttp"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [each.value.arn, "${each.value.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  depends_on = [aws_s3_bucket_public_access_block.this]
}

# --- What a machine of an autoscaled group needs to join; site.yml writes the values ----------------------------------
# Terraform makes the parameters, so that `terraform destroy` removes them.

resource "aws_ssm_parameter" "bundle" {
  for_each = var.autoscaled_groups

  name        = "/wasmfaas/${var.name}/groups/${each.key}/bundle"
  description = "sha256 of the node bundle of ${each.key}"
  type        = "String"
  value       = local.unset

  lifecycle {
    ignore_changes = [value]
  }
}

resource "aws_ssm_parameter" "token" {
  for_each = var.autoscaled_groups

  name             = "/wasmfaas/${var.name}/groups/${each.key}/token"
  description      = "Token with which machines of ${each.key} join"
  type             = "SecureString"
  key_id           = var.token_key_arn
  value_wo         = local.unset # write-only: neither this nor what site.yml writes gets into the state
  value_wo_version = 1
}
