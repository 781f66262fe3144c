output "repository_arns" {
  description = "ARN of the repository by function."
  value       = { for name, repository in aws_ecr_repository.functions : name => repository.arn }
}

output "pull_through_cache_prefixes" {
  description = "Prefixes of the mirrored repositories."
  value       = sort([for rule in aws_ecr_pull_through_cache_rule.this : rule.ecr_repository_prefix])
}
