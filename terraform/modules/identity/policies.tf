# The permissions that a group can have, each with its reason and its statements. An action has the resource "*" only if
# AWS has no narrower resource for it (https://docs.aws.amazon.com/service-authorization/latest/reference/).
# tests/terraform/policies.py lists these actions.
locals {
  arn               = "arn:${var.scope.partition}"
  here              = "${var.scope.region}:${var.scope.account}"
  cluster_tag       = "kubernetes.io/cluster/${var.name}"
  machines_arn      = "${local.arn}:ec2:${local.here}:instance/*"
  volumes_arn       = "${local.arn}:ec2:${local.here}:volume/*"
  groups_arn        = "${local.arn}:autoscaling:${local.here}:autoScalingGroup:*:autoScalingGroupName/${var.name}-*"
  target_groups_arn = "${local.arn}:elasticloadbalancing:${local.here}:targetgroup/${var.name}-*/*"
  functions_arn     = "${local.arn}:ecr:${local.here}:repository/${var.function_repository_prefix}/*"
  mirrors_arns = [for prefix in sort(tolist(var.mirror_prefixes)) :
    "${local.arn}:ecr:${local.here}:repository/${prefix}/*"
  ]

  push_actions = [
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:CreateRepository",
    "ecr:GetDownloadUrlForLayer",
    "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
  ]

  catalogue = {
    cloud_controller = {
      reason = "Cloud controller manager: finds the machine of a node, its zone and type, and whether it still exists. Without its service and route controllers it changes nothing."
      statements = [
        {
          Action = [
            "ec2:DescribeInstances",
            "ec2:DescribeInstanceTopology",
            "ec2:DescribeRegions",
            "ec2:DescribeAvailabilityZones",
          ]
          Resource = ["*"]
        },
      ]
    }

    ebs_csi = {
      reason = "EBS CSI controller: makes, attaches, grows and deletes volumes that carry the cluster's tag (chart value controller.k8sTagClusterId)."
      statements = [
        {
          Action = [
            "ec2:DescribeAvailabilityZones",
            "ec2:DescribeInstanceTypes",
            "ec2:DescribeInstances",
            "ec2:DescribeTags",
            "ec2:DescribeVolumes",
            "ec2:DescribeVolumesModifications",
            "ec2:DescribeVolumeStatus",
          ]
          Resource = ["*"]
        },
        {
          Action    = ["ec2:CreateVolume"]
          Resource  = [local.volumes_arn]
          Condition = { StringEquals = { "aws:RequestTag/${local.cluster_tag}" = "owned" } }
        },
        {
          Action    = ["ec2:CreateTags"]
          Resource  = [local.volumes_arn]
          Condition = { StringEquals = { "ec2:CreateAction" = "CreateVolume" } }
        },
        {
          Action    = ["ec2:DeleteVolume", "ec2:ModifyVolume"]
          Resource  = [local.volumes_arn]
          Condition = { StringEquals = { "aws:ResourceTag/${local.cluster_tag}" = "owned" } }
        },
        {
          Action    = ["ec2:AttachVolume", "ec2:DetachVolume"]
          Resource  = [local.volumes_arn, local.machines_arn]
          Condition = { StringEquals = { "aws:ResourceTag/${local.cluster_tag}" = "owned" } }
        },
      ]
    }

    cluster_autoscaler = {
      reason = "Cluster autoscaler: reads the scaling groups and their machine types, resizes the groups that carry its tag for this cluster."
      statements = [
        {
          Action = [
            "autoscaling:DescribeAutoScalingGroups",
            "autoscaling:DescribeAutoScalingInstances",
            "autoscaling:DescribeLaunchConfigurations",
            "autoscaling:DescribeScalingActivities",
            "autoscaling:DescribeTags",
            "ec2:DescribeImages",
            "ec2:DescribeInstanceTypes",
            "ec2:DescribeLaunchTemplateVersions",
            "ec2:GetInstanceTypesFromInstanceRequirements",
          ]
          Resource = ["*"]
        },
        {
          Action    = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
          Resource  = [local.groups_arn]
          Condition = { StringEquals = { "aws:ResourceTag/k8s.io/cluster-autoscaler/${var.name}" = "owned" } }
        },
      ]
    }

    termination_handler = {
      reason = "Node termination handler: reads notices from its queue, drains the node, and lets the scaling group go on."
      statements = [
        { Action = ["sqs:ReceiveMessage", "sqs:DeleteMessage"], Resource = [var.interruption_queue_arn] },
        { Action = ["autoscaling:CompleteLifecycleAction"], Resource = [local.groups_arn] },
        {
          Action = [
            "autoscaling:DescribeAutoScalingInstances",
            "autoscaling:DescribeTags",
            "ec2:DescribeInstances",
          ]
          Resource = ["*"]
        },
      ]
    }

    load_balancer_controller = {
      reason = "Load balancer controller (off by default), for TargetGroupBinding only: registers machines in the cluster's target groups."
      statements = [
        {
          Action = [
            "ec2:DescribeInstances",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeVpcs",
            "elasticloadbalancing:DescribeTargetGroups",
            "elasticloadbalancing:DescribeTargetHealth",
          ]
          Resource = ["*"]
        },
        {
          Action = [
            "elasticloadbalancing:RegisterTargets",
            "elasticloadbalancing:DeregisterTargets",
            "elasticloadbalancing:ModifyTargetGroup",
            "elasticloadbalancing:ModifyTargetGroupAttributes",
          ]
          Resource = [local.target_groups_arn]
        },
      ]
    }

    registry_pull = {
      reason = "kubelet with its ECR credential provider: pulls functions, and public images through the mirror, which makes a repository at the first pull."
      statements = concat(
        [
          { Action = ["ecr:GetAuthorizationToken"], Resource = ["*"] },
          {
            Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
            Resource = concat([local.functions_arn], local.mirrors_arns)
          },
        ],
        length(local.mirrors_arns) == 0
        ? []
        : [{ Action = ["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"], Resource = local.mirrors_arns }],
      )
    }

    registry_push = {
      reason = "Build jobs: push functions, and make the repository of a new function."
      statements = [
        { Action = ["ecr:GetAuthorizationToken"], Resource = ["*"] },
        { Action = local.push_actions, Resource = [local.functions_arn] },
      ]
    }

    snapshots = {
      reason = "k3s servers: write etcd snapshots to their bucket, list them, delete those that are too old, read them for a restore."
      statements = [
        { Action = ["s3:GetBucketLocation", "s3:ListBucket"], Resource = [var.snapshots_bucket_arn] },
        { Action = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], Resource = ["${var.snapshots_bucket_arn}/*"] },
      ]
    }

    telemetry = {
      reason = "Loki and Tempo: write logs and traces to their buckets, read them for queries, delete what is too old."
      statements = [
        { Action = ["s3:ListBucket"], Resource = var.telemetry_bucket_arns },
        {
          Action   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
          Resource = [for arn in var.telemetry_bucket_arns : "${arn}/*"]
        },
      ]
    }

    # AWS's own policy AmazonSSMManagedInstanceCore allows ssm:GetParameter on all parameters, so every machine could
    # read every join token.
    session_manager = {
      reason = "Systems Manager agent: sessions for administrators, without a public address or an open port."
      statements = [
        { Action = ["ssm:UpdateInstanceInformation"], Resource = [local.machines_arn] },
        {
          Action = [
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
          ]
          Resource = ["*"]
        },
      ]
    }

    dns_challenge = {
      reason = "cert-manager: proves by TXT records that a name is ours, for wildcard certificates."
      statements = [for statement in [
        { Action = ["route53:GetChange"], Resource = ["${local.arn}:route53:::change/*"] },
        { Action = ["route53:ListResourceRecordSets"], Resource = local.zone_arns },
        {
          Action    = ["route53:ChangeResourceRecordSets"]
          Resource  = local.zone_arns
          Condition = { "ForAllValues:StringEquals" = { "route53:ChangeResourceRecordSetsRecordTypes" = ["TXT"] } }
        },
      ] : statement if length(var.hosted_zone_ids) > 0]
    }
  }
  zone_arns = [for id in sort(tolist(var.hosted_zone_ids)) : "${local.arn}:route53:::hostedzone/${id}"]

  # By autoscaled group: the parameters and the bundles of that group and of no other.
  join = { for group, settings in var.groups : group => {
    reason = "Machines of ${group} join: they read the bundle of their group, its sha256 and the join token."
    statements = concat(
      [
        { Action = ["ssm:GetParameter"], Resource = settings.join.parameter_arns },
        { Action = ["s3:GetObject"], Resource = [settings.join.bundles_arn] },
      ],
      var.token_key_arn == null ? [] : [{
        Action    = ["kms:Decrypt"]
        Resource  = [var.token_key_arn]
        Condition = { StringEquals = { "kms:EncryptionContext:PARAMETER_ARN" = settings.join.parameter_arns } }
      }],
    )
  } if settings.join != null }
}
