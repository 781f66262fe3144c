# The default fleet, without any variable set.
mock_provider "aws" {
  override_during = plan
  source          = "./tests/mocks"
}

run "fleet" {
  command = plan

  assert {
    condition = (
      { for name, host in output.inventory.hosts : name => host.variables.availability_zone }
      == {
        "wasmfaas-control-plane-1" = "us-east-1a"
        "wasmfaas-control-plane-2" = "us-east-1b"
        "wasmfaas-control-plane-3" = "us-east-1d"
        "wasmfaas-observability-1" = "us-east-1a"
        "wasmfaas-observability-2" = "us-east-1b"
      }
    )
    error_message = "Three servers and two machines for observability, spread over the zones that have all types (1c has not)."
  }

  assert {
    condition = (
      { for name, host in output.inventory.hosts :
        name => "${host.group} ${host.role} ${host.variables.instance_type}"
      }
      == {
        "wasmfaas-control-plane-1" = "control_plane server t4g.medium"
        "wasmfaas-control-plane-2" = "control_plane server t4g.medium"
        "wasmfaas-control-plane-3" = "control_plane server t4g.medium"
        "wasmfaas-observability-1" = "observability agent t4g.large"
        "wasmfaas-observability-2" = "observability agent t4g.large"
      }
    )
    error_message = "Groups, roles and types of the inventory."
  }

  assert {
    condition = (
      keys(output.cluster.node_groups)
      == ["control-plane", "observability", "worker-backend", "worker-build", "worker-wasm"]
    )
    error_message = "The five groups."
  }

  assert {
    condition = (
      [for name, group in output.cluster.node_groups : name if contains(keys(group), "scaling_group")]
      == ["worker-backend", "worker-build", "worker-wasm"]
    )
    error_message = "Three of them are autoscaled."
  }

  assert {
    condition     = length(module.api_load_balancer) == 1 && length(aws_route53_zone.private) == 0
    error_message = "The API is behind a private load balancer."
  }

  assert {
    condition     = length(aws_key_pair.administrator) == 0
    error_message = "No key, no key pair."
  }

  assert {
    condition     = output.cluster.ingress.domain == "203.0.113.10.nip.io"
    error_message = "The domain is made of an Elastic IP."
  }

  assert {
    condition = (
      keys(output.cluster.buckets) == ["bundles", "logs", "snapshots", "traces"]
      && join(" ", output.cluster.autoscaler_tags)
      == "k8s.io/cluster-autoscaler/enabled k8s.io/cluster-autoscaler/wasmfaas"
      && length(output.cluster.hosted_zone_ids) == 0
    )
    error_message = "What the controllers have to know."
  }

  assert {
    condition = (
      { for name, group in output.cluster.node_groups :
        name => [for taint in group.taints : "${taint.key}=${taint.value}:${taint.effect}"]
        if length(group.taints) > 0
      }
      == { worker-wasm = ["wasmfaas.dev/only=wasm:NoSchedule"], worker-build = ["wasmfaas.dev/build=true:NoSchedule"] }
    )
    error_message = "Wasm and builds have their machines to themselves."
  }

  assert {
    condition = { for group, names in output.permissions : group => join(" ", names) } == {
      control-plane  = "cloud-controller cluster-autoscaler ebs-csi registry-pull snapshots termination-handler"
      observability  = "registry-pull telemetry"
      worker-backend = "join-worker-backend registry-pull registry-push"
      worker-build   = "join-worker-build registry-pull"
      worker-wasm    = "join-worker-wasm registry-pull"
    }
    error_message = "Each group has the permissions of the map, and autoscaled groups also those to join."
  }

  assert {
    condition = (
      [for name, group in var.node_groups : name if group.metadata_hop_limit == 1] == ["worker-build", "worker-wasm"]
    )
    error_message = "Pods that run foreign code do not reach the role of their machine."
  }

  assert {
    condition     = alltrue([for policy in output.policies : length(policy.reason) > 30])
    error_message = "Each policy has its reason."
  }

  assert {
    condition = alltrue(flatten([for policy in output.policies :
      [for statement in policy.document.Statement : [for action in statement.Action : !strcontains(action, "*")]]
    ]))
    error_message = "No policy allows actions by pattern."
  }
}

run "wildcard_certificates" {
  command = plan

  variables {
    hosted_zone_ids = ["Z0123456789ABCDEFGHIJ"]
  }

  assert {
    condition = (
      join(" ", output.cluster.hosted_zone_ids) == "Z0123456789ABCDEFGHIJ"
      && contains(output.permissions["observability"], "dns-challenge")
    )
    error_message = "cert-manager is told the zone and may write to it."
  }

  assert {
    condition = (
      [for statement in output.policies["dns-challenge"].document.Statement :
        statement.Condition["ForAllValues:StringEquals"]
        if contains(statement.Action, "route53:ChangeResourceRecordSets")
      ]
      == [{ "route53:ChangeResourceRecordSetsRecordTypes" = ["TXT"] }]
    )
    error_message = "TXT records only."
  }
}

run "without_protection_and_logs" {
  command = plan

  assert {
    condition     = length(module.audit) == 0
    error_message = "No bucket for logs that nobody asked for."
  }
}

run "flow_logs_alone" {
  command = plan

  variables {
    flow_logs = "REJECT"
  }

  assert {
    condition     = module.audit[0].bucket_name == "wasmfaas-123456789012-us-east-1-audit"
    error_message = "Flow logs have a bucket."
  }
}

run "private" {
  command = plan

  variables {
    private_nodes = true
  }

  assert {
    condition = alltrue([for host in output.inventory.hosts :
      host.variables.public_ip == "" && startswith(host.variables.ansible_host, "i-")
    ])
    error_message = "No public addresses; Ansible goes by instance id, through Systems Manager."
  }

  assert {
    condition     = contains(output.cluster.api.certificate_names, "127.0.0.1")
    error_message = "Administrators come in by a port that Systems Manager forwards from their own machine."
  }

  assert {
    condition     = alltrue([for names in values(output.permissions) : contains(names, "session-manager")])
    error_message = "All machines may be reached by Systems Manager."
  }
}

run "api_by_name" {
  command = plan

  variables {
    api_endpoint = "dns"
  }

  assert {
    condition = (
      output.cluster.api.address == "api.wasmfaas.internal"
      && length(module.api_load_balancer) == 0
      && length(aws_route53_record.api) == 1
    )
    error_message = "A private name instead of the load balancer."
  }
}

run "x86_beside_arm" {
  command = plan

  variables {
    availability_zones = ["us-east-1b", "us-east-1c"]
    node_groups = {
      servers = { server = true, autoscaled = false, size = 1, instance_types = ["t4g.medium"], ingress = true }
      x86 = {
        spot           = true
        architecture   = "amd64"
        maximum        = 4
        instance_types = ["m7i.xlarge", "m6i.xlarge", "m7a.xlarge"]
        zones          = 1
      }
    }
  }

  assert {
    condition = (
      output.cluster.node_groups["x86"].architecture == "amd64" && length(data.aws_ssm_parameter.image) == 2
    )
    error_message = "An image for each architecture."
  }

  assert {
    condition = (
      output.inventory.hosts["wasmfaas-servers-1"].variables.availability_zone == "us-east-1b"
      && length(output.cluster.ingress.addresses) == 2
    )
    error_message = "The given zones are used."
  }
}

run "sizes_differ" {
  command = plan

  override_data {
    target = data.aws_ec2_instance_type.used["m7g.xlarge"]
    values = { default_vcpus = 8, memory_size = 32768 }
  }

  expect_failures = [terraform_data.same_size["worker-wasm"]]
}

run "no_zone_has_all_types" {
  command = plan

  override_data {
    target = data.aws_ec2_instance_type_offerings.zones
    values = { locations = ["us-east-1a", "us-east-1b"], instance_types = ["t4g.medium", "c7g.xlarge"] }
  }

  expect_failures = [data.aws_ec2_instance_type_offerings.zones]
}

run "one_number_changed" {
  command = plan

  variables {
    node_group_changes = { worker-wasm = { maximum = 9 }, observability = { size = 1 } }
  }

  assert {
    condition = (
      local.node_groups["worker-wasm"] == merge(var.node_groups["worker-wasm"], { maximum = 9 })
      && local.node_groups["worker-build"] == var.node_groups["worker-build"]
      && length([for host in output.inventory.hosts : host if host.group == "observability"]) == 1
    )
    error_message = "All else of the group and all other groups stay."
  }
}

run "change_of_an_unknown_group" {
  command = plan

  variables {
    node_group_changes = { worker_wasm = { maximum = 9 } }
  }

  expect_failures = [terraform_data.node_group_changes]
}

run "change_to_a_volume_too_small" {
  command = plan

  variables {
    node_group_changes = { control-plane = { size = 5, data_volume_gib = 11 } }
  }

  expect_failures = [terraform_data.node_group_changes]
}

run "change_to_less_than_the_minimum" {
  command = plan

  variables {
    node_group_changes = { worker-build = { minimum = 3, maximum = 2 } }
  }

  expect_failures = [terraform_data.node_group_changes]
}

run "change_to_one_spot_type" {
  command = plan

  variables {
    node_group_changes = { worker-wasm = { instance_types = ["t4g.xlarge"] } }
  }

  expect_failures = [terraform_data.node_group_changes]
}
