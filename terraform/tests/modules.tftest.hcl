# The other modules: their validations, and what they make.
mock_provider "aws" {
  override_during = plan
  source          = "./tests/mocks"
}

run "network_refuses_no_zones" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    name    = "demo"
    cidr    = "10.20.0.0/16"
    zones   = []
    private = false
  }

  expect_failures = [var.zones]
}

run "network_public" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    name    = "demo"
    cidr    = "10.20.0.0/16"
    zones   = ["us-east-1a", "us-east-1b"]
    private = false
  }

  assert {
    condition = (
      { for zone, subnet in aws_subnet.public : zone => subnet.cidr_block }
      == { us-east-1a = "10.20.0.0/20", us-east-1b = "10.20.16.0/20" }
      && length(aws_subnet.private) == 0
      && length(aws_nat_gateway.this) == 0
    )
    error_message = "Public subnets only, no NAT to pay for."
  }

  assert {
    condition     = aws_vpc_endpoint.s3.service_name == "com.amazonaws.us-east-1.s3"
    error_message = "The S3 gateway."
  }
}

run "network_private" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    name    = "demo"
    cidr    = "10.20.0.0/16"
    zones   = ["us-east-1a", "us-east-1b"]
    private = true
  }

  assert {
    condition     = length(aws_subnet.private) == 2 && length(aws_nat_gateway.this) == 1 && length(aws_route.nat) == 2
    error_message = "One NAT gateway for all zones."
  }
}

run "network_private_nat_per_zone" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    name                 = "demo"
    cidr                 = "10.20.0.0/16"
    zones                = ["us-east-1a", "us-east-1b"]
    private              = true
    nat_gateway_per_zone = true
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 2
    error_message = "A NAT gateway in each zone."
  }
}

run "registry" {
  command = plan

  module {
    source = "./modules/registry"
  }

  variables {
    prefix             = "demo/functions"
    functions          = ["hello"]
    pull_through_cache = { demo-quay = { upstream = "quay.io" } }
  }

  assert {
    condition = (
      aws_ecr_repository.functions["hello"].name == "demo/functions/hello"
      && one(aws_ecr_repository.functions["hello"].image_scanning_configuration).scan_on_push
    )
    error_message = "A scanned repository for each function."
  }

  assert {
    condition = (
      jsondecode(aws_ecr_lifecycle_policy.functions["hello"].policy).rules[0].selection
      == { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 50 }
    )
    error_message = "Old versions go by number, never for having lost their tag."
  }

  assert {
    condition     = join(" ", output.pull_through_cache_prefixes) == "demo-quay"
    error_message = "The mirror."
  }
}

run "registry_refuses_to_keep_one_version" {
  command = plan

  module {
    source = "./modules/registry"
  }

  variables {
    prefix             = "demo/functions"
    functions          = []
    pull_through_cache = {}
    kept_versions      = 1
  }

  expect_failures = [var.kept_versions]
}

run "artifacts" {
  command = plan

  module {
    source = "./modules/artifacts"
  }

  variables {
    name              = "demo"
    bucket_prefix     = "demo-123456789012"
    autoscaled_groups = ["worker-wasm"]
    snapshot_days     = 30
    destroy_snapshots = false
  }

  assert {
    condition     = aws_s3_bucket.this["bundles"].force_destroy && !aws_s3_bucket.this["snapshots"].force_destroy
    error_message = "Bundles go with the cluster, snapshots do not."
  }

  assert {
    condition = (
      aws_ssm_parameter.token["worker-wasm"].type == "SecureString"
      && aws_ssm_parameter.token["worker-wasm"].name == "/wasmfaas/demo/groups/worker-wasm/token"
    )
    error_message = "The token is encrypted."
  }

  assert {
    condition = alltrue([for block in aws_s3_bucket_public_access_block.this :
      block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets
    ])
    error_message = "Nothing is public."
  }
}

run "identity_tenants_push_below_their_own_path" {
  command = plan

  module {
    source = "./modules/identity"
  }

  variables {
    name                       = "demo"
    scope                      = { partition = "aws", region = "us-east-1", account = "123456789012" }
    groups                     = {}
    session_manager            = false
    snapshots_bucket_arn       = "arn:aws:s3:::snapshots"
    telemetry_bucket_arns      = []
    interruption_queue_arn     = "arn:aws:sqs:us-east-1:123456789012:queue"
    function_repository_prefix = "demo/functions"
    mirror_prefixes            = []
    hosted_zone_ids            = []
    tenants                    = ["user1", "user2"]
  }

  assert {
    condition = {
      for tenant, policy in output.tenant_push_policies : tenant => {
        for statement in jsondecode(policy).Statement : statement.Resource[0] => statement.Action
      }
      } == {
      for tenant in ["user1", "user2"] : tenant => {
        "*" = ["ecr:GetAuthorizationToken"]
        "arn:aws:ecr:us-east-1:123456789012:repository/demo/functions/${tenant}/*" = [
          "ecr:BatchCheckLayerAvailability",
          "ecr:BatchGetImage",
          "ecr:CompleteLayerUpload",
          "ecr:CreateRepository",
          "ecr:GetDownloadUrlForLayer",
          "ecr:InitiateLayerUpload",
          "ecr:PutImage",
          "ecr:UploadLayerPart",
        ]
      }
    }
    error_message = "Each tenant pushes below its own path and nowhere else."
  }
}

run "audit" {
  command = plan

  module {
    source = "./modules/audit"
  }

  variables {
    name               = "demo"
    bucket             = "demo-audit"
    scope              = { partition = "aws", account = "123456789012" }
    vpc_id             = "vpc-0123456789abcdef0"
    flow_logs          = "ALL"
    access_log_buckets = { snapshots = "demo-snapshots" }
    days               = 7
  }

  assert {
    condition = (
      aws_flow_log.this[0].traffic_type == "ALL"
      && aws_flow_log.this[0].log_destination_type == "s3"
      && aws_s3_bucket_logging.this["snapshots"].bucket == "demo-snapshots"
      && one(aws_s3_bucket_lifecycle_configuration.this.rule[0].expiration).days == 7
    )
    error_message = "Connections and requests go to the bucket, for seven days."
  }

  assert {
    condition = alltrue([for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement :
      statement.Condition.StringEquals["aws:SourceAccount"] == "123456789012"
      && startswith(statement.Resource, "arn:aws:s3:::demo-audit")
    ])
    error_message = "Services write into it for this account alone."
  }
}

run "audit_without_flow_logs" {
  command = plan

  module {
    source = "./modules/audit"
  }

  variables {
    name               = "demo"
    bucket             = "demo-audit"
    scope              = { partition = "aws", account = "123456789012" }
    vpc_id             = "vpc-0123456789abcdef0"
    access_log_buckets = {}
    days               = 7
  }

  assert {
    condition     = length(aws_flow_log.this) == 0 && length(aws_s3_bucket_logging.this) == 0
    error_message = "Nothing is logged that was not asked for."
  }
}
