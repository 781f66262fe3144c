# The node termination handler reads this queue: notices from EC2 and from the scaling groups.
# https://github.com/aws/aws-node-termination-handler#queue-processor
locals {
  events = {
    spot-interruption = {
      reason  = "EC2 takes a spot machine in two minutes"
      pattern = { source = ["aws.ec2"], detail-type = ["EC2 Spot Instance Interruption Warning"] }
    }
    rebalance = {
      reason  = "EC2 is likely to take a spot machine soon"
      pattern = { source = ["aws.ec2"], detail-type = ["EC2 Instance Rebalance Recommendation"] }
    }
    state-change = {
      reason = "A machine stops or is terminated"
      pattern = {
        source      = ["aws.ec2"]
        detail-type = ["EC2 Instance State-change Notification"]
        detail      = { state = ["stopping", "shutting-down"] }
      }
    }
    lifecycle = {
      reason = "A scaling group wants to terminate a machine and waits until its node is drained"
      pattern = {
        source      = ["aws.autoscaling"]
        detail-type = ["EC2 Instance-terminate Lifecycle Action"]
        detail      = { AutoScalingGroupName = [{ prefix = "${var.name}-" }] }
      }
    }
    scheduled-change = {
      reason = "AWS is going to restart or retire a machine"
      pattern = {
        source      = ["aws.health"]
        detail-type = ["AWS Health Event"]
        detail      = { service = ["EC2"], eventTypeCategory = ["scheduledChange"] }
      }
    }
  }
}

resource "aws_sqs_queue" "this" {
  name                      = "${var.name}-interruptions"
  message_retention_seconds = 300 # the machine of an older notice is already gone
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_policy" "this" {
  queue_url = aws_sqs_queue.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "EventsOfOurRules"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.this.arn
      Condition = { ArnEquals = { "aws:SourceArn" = sort([for rule in aws_cloudwatch_event_rule.this : rule.arn]) } }
    }]
  })
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each = local.events

  name          = "${var.name}-${each.key}"
  description   = each.value.reason
  event_pattern = jsonencode(each.value.pattern)
}

resource "aws_cloudwatch_event_target" "this" {
  for_each = local.events

  rule = aws_cloudwatch_event_rule.this[each.key].name
  arn  = aws_sqs_queue.this.arn
}
