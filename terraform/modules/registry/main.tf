resource "aws_ecr_repository" "functions" {
  for_each = var.functions

  name = "${var.prefix}/${each.key}"
  # deploy-function.yml makes repositories the same way. Its tag names the source, and another build of the same source
  # may move the tag. Nodes pull by digest.
  image_tag_mutability = "MUTABLE"
  force_delete         = true

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "AES256"
  }
}

resource "aws_ecr_lifecycle_policy" "functions" {
  for_each = aws_ecr_repository.functions

  repository = each.value.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "Keep the last ${var.kept_versions} versions, tagged or not: a function may run a version that has lost its tag"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = var.kept_versions }
      action       = { type = "expire" }
    }]
  })
}

# https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache.html
resource "aws_ecr_pull_through_cache_rule" "this" {
  for_each = var.pull_through_cache

  ecr_repository_prefix = each.key
  upstream_registry_url = each.value.upstream
  credential_arn        = each.value.secret_arn
}
