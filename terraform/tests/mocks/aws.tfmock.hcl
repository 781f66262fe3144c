# Answers of AWS that the provider validates or this configuration reads.
mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
}

mock_data "aws_region" {
  defaults = { name = "us-east-1" }
}

mock_data "aws_ec2_instance_type_offerings" {
  defaults = {
    locations = [
      "us-east-1a", "us-east-1a", "us-east-1a", "us-east-1a",
      "us-east-1b", "us-east-1b", "us-east-1b", "us-east-1b",
      "us-east-1c", "us-east-1c",
      "us-east-1d", "us-east-1d", "us-east-1d", "us-east-1d",
      "us-east-1f", "us-east-1f", "us-east-1f", "us-east-1f",
    ]
    instance_types = [
      "t4g.medium", "t4g.large", "t4g.xlarge", "c7g.xlarge",
      "t4g.medium", "t4g.large", "t4g.xlarge", "c7g.xlarge",
      "t4g.medium", "t4g.large",
      "t4g.medium", "t4g.large", "t4g.xlarge", "c7g.xlarge",
      "t4g.medium", "t4g.large", "t4g.xlarge", "c7g.xlarge",
    ]
  }
}

mock_data "aws_ec2_instance_type" {
  defaults = { default_vcpus = 2, memory_size = 4096 }
}

mock_data "aws_ssm_parameter" {
  defaults = { insecure_value = "ami-0123456789abcdef0" }
}

mock_resource "aws_s3_bucket" {
  defaults = { arn = "arn:aws:s3:::a-bucket", id = "a-bucket" }
}

mock_resource "aws_sqs_queue" {
  defaults = {
    arn = "arn:aws:sqs:us-east-1:123456789012:a-queue"
    url = "https://sqs.us-east-1.amazonaws.com/123456789012/a-queue"
    id  = "https://sqs.us-east-1.amazonaws.com/123456789012/a-queue"
  }
}

mock_resource "aws_ssm_parameter" {
  defaults = { arn = "arn:aws:ssm:us-east-1:123456789012:parameter/a-parameter" }
}

mock_resource "aws_iam_policy" {
  defaults = { arn = "arn:aws:iam::123456789012:policy/a-policy" }
}

mock_resource "aws_lb" {
  defaults = {
    arn      = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/a-load-balancer/0123456789abcdef"
    dns_name = "a-load-balancer.elb.us-east-1.amazonaws.com"
  }
}

mock_resource "aws_lb_target_group" {
  defaults = { arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/a-group/0123456789abcdef" }
}

mock_resource "aws_cloudwatch_event_rule" {
  defaults = { arn = "arn:aws:events:us-east-1:123456789012:rule/a-rule" }
}

mock_resource "aws_eip" {
  defaults = { id = "eipalloc-0123456789abcdef0", public_ip = "203.0.113.10" }
}

mock_resource "aws_network_interface" {
  defaults = { id = "eni-0123456789abcdef0", private_ip = "10.20.0.10" }
}

mock_resource "aws_instance" {
  defaults = { id = "i-0123456789abcdef0" }
}

mock_resource "aws_ebs_volume" {
  defaults = { id = "vol-0123456789abcdef0" }
}

mock_resource "aws_launch_template" {
  defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
}
