locals {
  permissions = { for group, settings in var.groups :
    group => setunion(settings.permissions, var.session_manager ? ["session_manager"] : [])
  }
  used = { for name in distinct(flatten([for names in values(local.permissions) : tolist(names)])) :
    name => local.catalogue[name]
    if length(local.catalogue[name].statements) > 0
  }
  policies = merge(
    { for name, policy in local.used : replace(name, "_", "-") => policy },
    { for group, policy in local.join : "join-${group}" => policy },
  )

  attachments = merge([for group, names in local.permissions : merge(
    { for name in names :
      "${group} ${name}" => { group = group, policy = replace(name, "_", "-") }
      if contains(keys(local.used), name)
    },
    contains(keys(local.join), group) ? { "${group} join" = { group = group, policy = "join-${group}" } } : {},
  )]...)
}

resource "aws_iam_role" "this" {
  for_each = var.groups

  name        = "${var.name}-${each.key}"
  description = "Machines of the node group ${each.key} of ${var.name}"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }]
  })
}

resource "aws_iam_instance_profile" "this" {
  for_each = aws_iam_role.this

  name = each.value.name
  role = each.value.name
}

resource "aws_iam_policy" "this" {
  for_each = local.policies

  name        = "${var.name}-${each.key}"
  description = each.value.reason
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for statement in each.value.statements :
      merge({ Effect = "Allow" }, { for key, value in statement : key => value if value != null })
    ]
  })
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each = local.attachments

  role       = aws_iam_role.this[each.value.group].name
  policy_arn = aws_iam_policy.this[each.value.policy].arn
}
