output "bucket" {
  description = "Name of the bucket, for backend.tf."
  value       = aws_s3_bucket.state.bucket
}
