output "instance_profile_names" {
  description = "Name of the instance profile by node group."
  # A machine that starts before its policies are attached gets errors until they are.
  value = { for group, profile in aws_iam_instance_profile.this : group => profile.name }

  depends_on = [aws_iam_role_policy_attachment.this]
}

output "policies" {
  description = "Reason and document of each policy, by name."
  value = { for name, policy in aws_iam_policy.this :
    name => { reason = policy.description, document = jsondecode(policy.policy) }
  }
}

output "permissions" {
  description = "Names of the policies by node group."
  value = { for group in keys(var.groups) :
    group => sort([for attachment in local.attachments : attachment.policy if attachment.group == group])
  }
}

output "tenant_push_policies" {
  description = "By tenant: JSON of a policy that lets it pull and push below its own path of the functions' repositories, and nowhere else."
  value = { for tenant in var.tenants :
    tenant => jsonencode({
      Version = "2012-10-17"
      Statement = [
        { Effect = "Allow", Action = ["ecr:GetAuthorizationToken"], Resource = ["*"] },
        {
          Effect   = "Allow"
          Action   = local.push_actions
          Resource = ["${local.arn}:ecr:${local.here}:repository/${var.function_repository_prefix}/${tenant}/*"]
        },
      ]
    })
  }
}
