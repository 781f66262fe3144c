output "bucket_name" {
  description = "Name of the bucket that holds the logs."
  value       = aws_s3_bucket.this.bucket
}
