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
