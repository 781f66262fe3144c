# The logs stay for their time, also after the cluster: `terraform destroy` stops at a bucket that holds some.
resource "aws_s3_bucket" "this" {
  bucket = var.bucket

  tags = { Name = "${var.name}-audit" }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256" # S3 delivers access logs to no bucket with a KMS key
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "delete"
    status = "Enabled"

    filter {}

    expiration {
      days = var.days
    }
  }
}

# AWS' own services write into it, for this account alone.
resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for statement in [
        { service = "delivery.logs", action = "s3:PutObject", resource = "/AWSLogs/${var.scope.account}/*" },
        { service = "delivery.logs", action = "s3:GetBucketAcl", resource = "" },
        { service = "logging.s3", action = "s3:PutObject", resource = "/access/*" },
        ] : {
        Effect    = "Allow"
        Principal = { Service = "${statement.service}.amazonaws.com" }
        Action    = statement.action
        Resource  = "arn:${var.scope.partition}:s3:::${var.bucket}${statement.resource}"
        Condition = { StringEquals = { "aws:SourceAccount" = var.scope.account } }
      }
    ]
  })

  depends_on = [aws_s3_bucket_public_access_block.this]
}

resource "aws_flow_log" "this" {
  count = var.flow_logs == null ? 0 : 1

  vpc_id                   = var.vpc_id
  traffic_type             = var.flow_logs
  log_destination_type     = "s3"
  log_destination          = aws_s3_bucket.this.arn
  max_aggregation_interval = 60

  tags = { Name = var.name }

  # Otherwise AWS writes a policy of its own, and the two replace each other.
  depends_on = [aws_s3_bucket_policy.this]
}

resource "aws_s3_bucket_logging" "this" {
  for_each = var.access_log_buckets

  bucket        = each.value
  target_bucket = aws_s3_bucket_policy.this.bucket
  target_prefix = "access/${each.key}/"
}
