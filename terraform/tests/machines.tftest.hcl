# What the modules for machines, scaling groups, load balancers and security groups make.
mock_provider "aws" {
  override_during = plan
  source          = "./tests/mocks"
}

run "node_group" {
  command = plan

  module {
    source = "./modules/node_group"
  }

  variables {
    name                  = "demo"
    group                 = "worker-wasm"
    image_id              = "ami-0123456789abcdef0"
    instance_types        = ["t4g.xlarge", "m6g.xlarge", "m7g.xlarge"]
    spot                  = true
    minimum               = 0
    maximum               = 5
    subnet_ids            = ["subnet-0123456789abcdef0"]
    security_group_ids    = ["sg-0123456789abcdef0"]
    instance_profile_name = "demo-worker-wasm"
    public_address        = true
    root_device_name      = "/dev/xvda"
    root_volume_gib       = 30
    metadata_hop_limit    = 2
    target_group_arns     = []
    labels                = { "wasmfaas.dev/wasm" = "true", team = "a" }
    taints                = [{ key = "wasmfaas.dev/only", value = "wasm", effect = "NoSchedule" }]
    join = {
      bucket           = "demo-bundles"
      bundle_parameter = "/demo/bundle"
      token_parameter  = "/demo/token"
      server           = "https://api:6443"
      seconds          = 900
    }
    tags = { "wasmfaas:cluster" = "demo" }
  }

  assert {
    condition = (
      one(aws_launch_template.this.metadata_options).http_tokens == "required"
      && one(aws_launch_template.this.metadata_options).http_put_response_hop_limit == 2
      && one(aws_launch_template.this.metadata_options).instance_metadata_tags == "disabled"
    )
    error_message = "IMDSv2 only, two hops, no tags."
  }

  assert {
    condition = (
      one(one(aws_launch_template.this.block_device_mappings).ebs).encrypted == "true"
      && one(one(aws_launch_template.this.block_device_mappings).ebs).volume_type == "gp3"
    )
    error_message = "Encrypted gp3."
  }

  assert {
    condition = (
      one(one(aws_autoscaling_group.this.mixed_instances_policy).instances_distribution).spot_allocation_strategy
      == "price-capacity-optimized"
      && one(one(aws_autoscaling_group.this.mixed_instances_policy).instances_distribution).on_demand_percentage_above_base_capacity
      == 0
      && aws_autoscaling_group.this.capacity_rebalance
    )
    error_message = "Spot only, where price and capacity are best, with a replacement before the interruption."
  }

  assert {
    condition = (
      [for override in one(one(aws_autoscaling_group.this.mixed_instances_policy).launch_template).override :
        override.instance_type
      ]
      == ["t4g.xlarge", "m6g.xlarge", "m7g.xlarge"]
    )
    error_message = "All types, in their order."
  }

  assert {
    condition = { for tag in aws_autoscaling_group.this.tag : tag.key => tag.value if !tag.propagate_at_launch } == {
      "k8s.io/cluster-autoscaler/enabled"                                   = "true"
      "k8s.io/cluster-autoscaler/demo"                                      = "owned"
      "k8s.io/cluster-autoscaler/node-template/label/wasmfaas.dev/wasm"     = "true"
      "k8s.io/cluster-autoscaler/node-template/label/team"                  = "a"
      "k8s.io/cluster-autoscaler/node-template/taint/wasmfaas.dev/only"     = "wasm:NoSchedule"
      "k8s.io/cluster-autoscaler/node-template/resources/ephemeral-storage" = "25Gi"
    }
    error_message = "What the autoscaler is told while the group has no machine."
  }

  assert {
    condition = (
      strcontains(output.user_data, "\"taints\":[\"wasmfaas.dev/only=wasm:NoSchedule\"]")
      && strcontains(output.user_data, "\"labels\":{\"team\":\"a\",\"wasmfaas.dev/wasm\":\"true\"}")
    )
    error_message = "What the machine is told is the same."
  }

  assert {
    condition     = length(output.user_data) <= 16384 && !strcontains(output.user_data, "$${")
    error_message = "User data fits and is filled in."
  }
}

run "security" {
  command = plan

  module {
    source = "./modules/security"
  }

  variables {
    name          = "demo"
    vpc_id        = "vpc-0123456789abcdef0"
    admin_cidrs   = ["198.51.100.0/24"]
    ingress_cidrs = ["0.0.0.0/0"]
    cni           = "vxlan"
  }

  assert {
    condition = { for name, rule in local.between_groups :
      name => "${rule.source} > ${rule.group} ${rule.protocol} ${rule.from}-${rule.to}"
      } == {
      pod_network            = "nodes > nodes udp 8472-8472"
      kubelet                = "nodes > nodes tcp 10250-10250"
      node_exporter          = "nodes > nodes tcp 9100-9100"
      image_mirror           = "nodes > nodes tcp 5001-5001"
      api                    = "nodes > servers tcp 6443-6443"
      etcd                   = "servers > servers tcp 2379-2380"
      etcd_metrics           = "nodes > servers tcp 2381-2381"
      api_to_load_balancer   = "nodes > api_load_balancer tcp 6443-6443"
      api_from_load_balancer = "api_load_balancer > servers tcp 6443-6443"
      ingress_http           = "public_load_balancer > ingress tcp 80-80"
      ingress_health         = "public_load_balancer > ingress tcp 8080-8080"
      ingress_https          = "public_load_balancer > ingress tcp 443-443"
    }
    error_message = "Who may reach which ports inside the cluster."
  }

  assert {
    condition = (
      { for name, rule in aws_vpc_security_group_ingress_rule.group :
        name => "${rule.ip_protocol} ${rule.from_port}-${rule.to_port}"
      }
      == { for name, rule in local.between_groups : name => "${rule.protocol} ${rule.from}-${rule.to}" }
    )
    error_message = "The rules are the same as in the map."
  }

  assert {
    condition = (
      { for name, rule in aws_vpc_security_group_ingress_rule.network :
        name => "${rule.cidr_ipv4} ${rule.from_port}-${rule.to_port}"
      }
      == {
        "ssh 198.51.100.0/24" = "198.51.100.0/24 22-22"
        "api 198.51.100.0/24" = "198.51.100.0/24 6443-6443"
        "http 0.0.0.0/0"      = "0.0.0.0/0 80-80"
        "https 0.0.0.0/0"     = "0.0.0.0/0 443-443"
      }
    )
    error_message = "SSH and API for administrators only; only 80 and 443 are open to all."
  }

  assert {
    condition = (
      keys(aws_vpc_security_group_egress_rule.load_balancer)
      == ["api_from_load_balancer", "ingress_health", "ingress_http", "ingress_https"]
    )
    error_message = "Load balancers reach only the groups that let them in."
  }

  assert {
    condition = (
      [for name, group in aws_security_group.this : name if contains(keys(group.tags), "kubernetes.io/cluster/demo")]
      == ["nodes"]
    )
    error_message = "One group of a machine has the cluster's tag."
  }
}

run "no_administrators" {
  command = plan

  module {
    source = "./modules/security"
  }

  variables {
    name          = "demo"
    vpc_id        = "vpc-0123456789abcdef0"
    admin_cidrs   = []
    ingress_cidrs = ["0.0.0.0/0"]
    cni           = "cilium"
  }

  assert {
    condition = (
      keys(aws_vpc_security_group_ingress_rule.network) == ["http 0.0.0.0/0", "https 0.0.0.0/0"]
      && contains(keys(aws_vpc_security_group_ingress_rule.group), "cilium_health")
    )
    error_message = "No administrators from outside; Cilium's ports."
  }
}

run "security_refuses_the_internet" {
  command = plan

  module {
    source = "./modules/security"
  }

  variables {
    name          = "demo"
    vpc_id        = "vpc-0123456789abcdef0"
    admin_cidrs   = ["0.0.0.0/0"]
    ingress_cidrs = ["0.0.0.0/0"]
    cni           = "vxlan"
  }

  expect_failures = [var.admin_cidrs]
}

run "control_plane_refuses_even_numbers" {
  command = plan

  module {
    source = "./modules/control_plane"
  }

  variables {
    name    = "demo"
    size    = 2
    subnets = [{ zone = "us-east-1a", id = "subnet-0123456789abcdef0" }]
    machine = {
      image_id              = "ami-0123456789abcdef0"
      instance_type         = "t4g.medium"
      security_group_ids    = []
      instance_profile_name = "demo"
      public_address        = true
      root_volume_gib       = 20
      data_volume_gib       = 10
      metadata_hop_limit    = 2
      target_group_arns     = {}
      tags                  = {}
    }
  }

  expect_failures = [var.size]
}

run "machine" {
  command = plan

  module {
    source = "./modules/machine"
  }

  variables {
    name                  = "demo-control-plane-1"
    image_id              = "ami-0123456789abcdef0"
    instance_type         = "t4g.medium"
    subnet_id             = "subnet-0123456789abcdef0"
    zone                  = "us-east-1a"
    security_group_ids    = ["sg-0123456789abcdef0"]
    instance_profile_name = "demo"
    public_address        = true
    root_volume_gib       = 20
    data_volume_gib       = 10
    metadata_hop_limit    = 2
    target_group_arns = {
      api = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/a-group/0123456789abcdef"
    }
    deletion_protection = true
    tags                = { "wasmfaas:role" = "server" }
  }

  assert {
    condition     = aws_instance.this.disable_api_termination
    error_message = "The instance is protected."
  }

  assert {
    condition = (
      one(aws_instance.this.metadata_options).http_tokens == "required"
      && one(aws_instance.this.root_block_device).encrypted
      && aws_ebs_volume.data[0].encrypted
      && one(aws_instance.this.credit_specification).cpu_credits == "standard"
    )
    error_message = "IMDSv2, encrypted volumes, no surplus credits."
  }

  assert {
    condition = (
      one(aws_instance.this.network_interface).network_interface_id == "eni-0123456789abcdef0"
      && aws_volume_attachment.data[0].stop_instance_before_detaching
    )
    error_message = "Address and volume are the machine's own and outlive the instance."
  }
}

run "load_balancer" {
  command = plan

  module {
    source = "./modules/load_balancer"
  }

  variables {
    name              = "demo-api"
    vpc_id            = "vpc-0123456789abcdef0"
    subnet_ids        = { us-east-1a = "subnet-0123456789abcdef0" }
    security_group_id = "sg-0123456789abcdef0"
    public            = false

    deletion_protection = true
    ports = {
      api = {
        port                    = 6443
        preserve_client_address = false
        check                   = { protocol = "HTTPS", port = "6443", path = "/ping", matcher = "200" }
      }
    }
  }

  assert {
    condition = (
      aws_lb.this.internal
      && aws_lb.this.enable_deletion_protection
      && length(aws_eip.this) == 0
      && aws_lb_target_group.this["api"].preserve_client_ip == "false"
      && one(aws_lb_target_group.this["api"].health_check).path == "/ping"
    )
    error_message = "Private, does not preserve client addresses, and checked by k3s's own /ping."
  }
}

run "load_balancer_refuses_a_path_for_tcp" {
  command = plan

  module {
    source = "./modules/load_balancer"
  }

  variables {
    name              = "demo-api"
    vpc_id            = "vpc-0123456789abcdef0"
    subnet_ids        = { us-east-1a = "subnet-0123456789abcdef0" }
    security_group_id = "sg-0123456789abcdef0"
    public            = false
    ports = {
      api = { port = 6443, preserve_client_address = false, check = { protocol = "TCP", path = "/ping" } }
    }
  }

  expect_failures = [var.ports]
}
