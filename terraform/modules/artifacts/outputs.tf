output "bucket_names" {
  description = "Names of the buckets `bundles`, `snapshots`, `logs` and `traces`."
  value       = { for key, bucket in aws_s3_bucket.this : key => bucket.bucket }
}

output "bucket_arns" {
  description = "ARNs of the buckets `bundles`, `snapshots`, `logs` and `traces`."
  value       = { for key, bucket in aws_s3_bucket.this : key => bucket.arn }
}

output "bundle_parameters" {
  description = "By autoscaled group: name and ARN of the parameter with the sha256 of the node bundle."
  value = {
    for group, parameter in aws_ssm_parameter.bundle : group => { name = parameter.name, arn = parameter.arn }
  }
}

output "token_parameters" {
  description = "By autoscaled group: name and ARN of the parameter with the join token."
  value = {
    for group, parameter in aws_ssm_parameter.token : group => { name = parameter.name, arn = parameter.arn }
  }
}
