# Each validation of the root's variables has a run that it refuses; tests/terraform checks that none is missing.
mock_provider "aws" {
  override_during = plan
  source          = "./tests/mocks"
}

run "cluster_name_with_capitals" {
  command = plan

  variables {
    cluster_name = "Wasm"
  }

  expect_failures = [var.cluster_name]
}

run "cluster_name_too_long" {
  command = plan

  variables {
    cluster_name = "a-name-of-twenty-lett"
  }

  expect_failures = [var.cluster_name]
}

run "region_is_a_zone" {
  command = plan

  variables {
    region = "us-east-1a"
  }

  expect_failures = [var.region]
}

run "tag_of_the_module" {
  command = plan

  variables {
    tags = { "wasmfaas:role" = "server" }
  }

  expect_failures = [var.tags]
}

run "network_too_small" {
  command = plan

  variables {
    network_cidr = "10.20.0.0/24"
  }

  expect_failures = [var.network_cidr]
}

run "network_of_the_pods" {
  command = plan

  variables {
    network_cidr = "10.42.0.0/16"
  }

  expect_failures = [var.network_cidr]
}

run "zone_of_another_region" {
  command = plan

  variables {
    availability_zones = ["eu-central-1a"]
  }

  expect_failures = [var.availability_zones]
}

run "zone_twice" {
  command = plan

  variables {
    availability_zones = ["us-east-1a", "us-east-1a"]
  }

  expect_failures = [var.availability_zones]
}

run "no_zones" {
  command = plan

  variables {
    zone_count = 0
  }

  expect_failures = [var.zone_count]
}

run "ssh_and_api_open_to_the_internet" {
  command = plan

  variables {
    admin_cidrs = ["0.0.0.0/0"]
  }

  expect_failures = [var.admin_cidrs]
}

run "ssh_and_api_open_to_the_internet_v6" {
  command = plan

  variables {
    admin_cidrs = ["::/0"]
  }

  expect_failures = [var.admin_cidrs]
}

run "ssh_and_api_open_to_the_internet_in_halves" {
  command = plan

  variables {
    admin_cidrs = ["0.0.0.0/1", "128.0.0.0/1"]
  }

  expect_failures = [var.admin_cidrs]
}

run "admin_address_without_mask" {
  command = plan

  variables {
    admin_cidrs = ["198.51.100.7"]
  }

  expect_failures = [var.admin_cidrs]
}

run "no_ingress_network" {
  command = plan

  variables {
    ingress_cidrs = []
  }

  expect_failures = [var.ingress_cidrs]
}

run "unknown_cni" {
  command = plan

  variables {
    cni = "calico"
  }

  expect_failures = [var.cni]
}

run "unknown_api_endpoint" {
  command = plan

  variables {
    api_endpoint = "public"
  }

  expect_failures = [var.api_endpoint]
}

run "ssh_private_key" {
  command = plan

  variables {
    ssh_public_key = "-----BEGIN OPENSSH PRIVATE KEY-----"
  }

  expect_failures = [var.ssh_public_key]
}

run "ssh_key_of_the_example" {
  command = plan

  variables {
    ssh_public_key = "ssh-ed25519 AAAA… you@example.com"
  }

  expect_failures = [var.ssh_public_key]
}

run "ssh_key_cut_off" {
  command = plan

  variables {
    ssh_public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPZ8mQb0pGm8m6cW1bq0p9Wm8m6cW1bq0p9Wm8m6 test"
  }

  expect_failures = [var.ssh_public_key]
}

run "admin_address_of_the_example" {
  command = plan

  variables {
    admin_cidrs = ["YOUR_ADDRESS/32"]
  }

  expect_failures = [var.admin_cidrs]
}

run "change_by_half_a_machine" {
  command = plan

  variables {
    node_group_changes = { worker-wasm = { maximum = 2.5 } }
  }

  expect_failures = [var.node_group_changes]
}

run "image_that_is_no_parameter" {
  command = plan

  variables {
    image_parameters = { arm64 = "ami-0123456789abcdef0" }
  }

  expect_failures = [var.image_parameters]
}

run "root_device_without_path" {
  command = plan

  variables {
    root_device_name = "xvda"
  }

  expect_failures = [var.root_device_name]
}

run "join_seconds_too_few" {
  command = plan

  variables {
    join_seconds = 10
  }

  expect_failures = [var.join_seconds]
}

run "function_name_with_capitals" {
  command = plan

  variables {
    functions = ["Hello"]
  }

  expect_failures = [var.functions]
}

run "tenant_name_with_slash" {
  command = plan

  variables {
    tenants = ["user1/*"]
  }

  expect_failures = [var.tenants]
}

run "mirror_prefix_with_slash" {
  command = plan

  variables {
    pull_through_cache = { "a/b" = { upstream = "quay.io" } }
  }

  expect_failures = [var.pull_through_cache]
}

run "docker_hub_without_login" {
  command = plan

  variables {
    pull_through_cache = { hub = { upstream = "registry-1.docker.io" } }
  }

  expect_failures = [var.pull_through_cache]
}

run "hosted_zone_by_name" {
  command = plan

  variables {
    hosted_zone_ids = ["example.com"]
  }

  expect_failures = [var.hosted_zone_ids]
}

run "snapshots_for_no_day" {
  command = plan

  variables {
    snapshot_days = 0
  }

  expect_failures = [var.snapshot_days]
}

run "token_key_by_alias" {
  command = plan

  variables {
    token_key_arn = "alias/tokens"
  }

  expect_failures = [var.token_key_arn]
}

run "group_name_with_underscore" {
  command = plan

  variables {
    node_groups = {
      servers      = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      wasm_workers = { maximum = 1, instance_types = ["t4g.xlarge"] }
    }
  }

  expect_failures = [var.node_groups]
}

run "no_servers" {
  command = plan

  variables {
    node_groups = {
      workers = { maximum = 1, instance_types = ["t4g.xlarge"], ingress = true }
    }
  }

  expect_failures = [var.node_groups]
}

run "two_groups_of_servers" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      more    = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"] }
    }
  }

  expect_failures = [var.node_groups]
}

run "autoscaled_servers" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, minimum = 3, maximum = 3, instance_types = ["t4g.medium"], ingress = true }
    }
  }

  expect_failures = [var.node_groups]
}

run "two_servers" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 2, instance_types = ["t4g.medium"], ingress = true }
    }
  }

  expect_failures = [var.node_groups]
}

run "four_servers" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 4, instance_types = ["t4g.medium"], ingress = true }
    }
  }

  expect_failures = [var.node_groups]
}

run "minimum_over_maximum" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = { minimum = 3, maximum = 2, instance_types = ["t4g.xlarge"] }
    }
  }

  expect_failures = [var.node_groups]
}

run "autoscaled_without_maximum" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = { instance_types = ["t4g.xlarge"] }
    }
  }

  expect_failures = [var.node_groups]
}

run "fixed_without_size" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = { autoscaled = false, instance_types = ["t4g.xlarge"] }
    }
  }

  expect_failures = [var.node_groups]
}

run "half_a_machine" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = { maximum = 1.5, instance_types = ["t4g.xlarge"] }
    }
  }

  expect_failures = [var.node_groups]
}

run "spot_that_is_not_autoscaled" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = {
        spot           = true
        autoscaled     = false
        size           = 1
        instance_types = ["t4g.xlarge", "m6g.xlarge", "m7g.xlarge"]
      }
    }
  }

  expect_failures = [var.node_groups]
}

run "spot_with_one_type" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = { spot = true, maximum = 1, instance_types = ["t4g.xlarge"] }
    }
  }

  expect_failures = [var.node_groups]
}

run "no_type" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = { maximum = 1, instance_types = [] }
    }
  }

  expect_failures = [var.node_groups]
}

run "unknown_architecture" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = { maximum = 1, architecture = "riscv64", instance_types = ["t4g.xlarge"] }
    }
  }

  expect_failures = [var.node_groups]
}

run "x86_type_in_arm_group" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = { maximum = 1, instance_types = ["t3.xlarge"] }
    }
  }

  expect_failures = [var.node_groups]
}

run "arm_type_in_x86_group" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = { maximum = 1, architecture = "amd64", instance_types = ["g5g.xlarge"] }
    }
  }

  expect_failures = [var.node_groups]
}

run "misspelt_type" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = { maximum = 1, instance_types = ["t4gxlarge"] }
    }
  }

  expect_failures = [var.node_groups]
}

run "label_that_a_node_cannot_set" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = { maximum = 1, instance_types = ["t4g.xlarge"], labels = { "node-role.kubernetes.io/worker" = "true" } }
    }
  }

  expect_failures = [var.node_groups]
}

run "label_with_space" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = { maximum = 1, instance_types = ["t4g.xlarge"], labels = { team = "a b" } }
    }
  }

  expect_failures = [var.node_groups]
}

run "taint_with_unknown_effect" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = {
        maximum        = 1
        instance_types = ["t4g.xlarge"]
        taints         = [{ key = "a", value = "b", effect = "Never" }]
      }
    }
  }

  expect_failures = [var.node_groups]
}

run "unknown_permission" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = { maximum = 1, instance_types = ["t4g.xlarge"], permissions = ["administrator"] }
    }
  }

  expect_failures = [var.node_groups]
}

run "hop_limit_over_two" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = { maximum = 1, instance_types = ["t4g.xlarge"], metadata_hop_limit = 3 }
    }
  }

  expect_failures = [var.node_groups]
}

run "nodes_that_cannot_pull" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = { maximum = 1, instance_types = ["t4g.xlarge"], permissions = ["registry_push"] }
    }
  }

  expect_failures = [var.node_groups]
}

run "root_volume_too_small" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = { maximum = 1, instance_types = ["t4g.xlarge"], root_volume_gib = 8 }
    }
  }

  expect_failures = [var.node_groups]
}

run "root_volume_too_small_for_k3s" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = { maximum = 1, instance_types = ["t4g.xlarge"], root_volume_gib = 13 }
    }
  }

  expect_failures = [var.node_groups]
}

run "data_volume_too_small_for_k3s" {
  command = plan

  variables {
    node_groups = {
      servers = {
        server          = true
        autoscaled      = false
        size            = 3
        instance_types  = ["t4g.medium"]
        ingress         = true
        data_volume_gib = 11
      }
    }
  }

  expect_failures = [var.node_groups]
}

run "smallest_volumes" {
  command = plan

  variables {
    node_groups = {
      servers = {
        server          = true
        autoscaled      = false
        size            = 3
        instance_types  = ["t4g.medium"]
        ingress         = true
        root_volume_gib = 10
        data_volume_gib = 12
      }
      workers = { maximum = 1, instance_types = ["t4g.xlarge"], root_volume_gib = 14 }
    }
  }
}

run "data_volume_of_autoscaled_group" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = { maximum = 1, instance_types = ["t4g.xlarge"], data_volume_gib = 10 }
    }
  }

  expect_failures = [var.node_groups]
}

run "no_ingress" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"] }
    }
  }

  expect_failures = [var.node_groups]
}

run "zero_zones" {
  command = plan

  variables {
    node_groups = {
      servers = { server = true, autoscaled = false, size = 3, instance_types = ["t4g.medium"], ingress = true }
      workers = { maximum = 1, instance_types = ["t4g.xlarge"], zones = 0 }
    }
  }

  expect_failures = [var.node_groups]
}

run "flow_logs_of_an_unknown_kind" {
  command = plan

  variables {
    flow_logs = "all"
  }

  expect_failures = [var.flow_logs]
}

run "audit_without_time" {
  command = plan

  variables {
    audit_days = 0
  }

  expect_failures = [var.audit_days]
}
