# The nodes that serve every app without a pool of its own. For an app's own pool, copy the folder, and set pool and app_id.

include "root" {
  path = find_in_parent_folders("root.hcl")
}

locals {
  env = read_terragrunt_config(find_in_parent_folders("env.hcl")).locals
}

terraform {
  source = "${dirname(find_in_parent_folders("root.hcl"))}/../modules//rhino-nodes"
}

dependency "core" {
  config_path = "../core"

  mock_outputs_allowed_terraform_commands = ["init", "validate", "plan"]
  mock_outputs = {
    resource_group_name = "rg-mock"
    nodes_subnet_id     = "/subscriptions/0/resourceGroups/rg-mock/providers/Microsoft.Network/virtualNetworks/mock/subnets/nodes"
    key_vault_id        = "/subscriptions/0/resourceGroups/rg-mock/providers/Microsoft.KeyVault/vaults/mock"
  }
}

inputs = {
  env                 = local.env.env
  location            = local.env.location
  pool                = "default"
  instances           = 2
  slots               = 4
  image_id            = local.env.rhino_image_id
  admin_password      = get_env("RHINO_ADMIN_PASSWORD")
  resource_group_name = dependency.core.outputs.resource_group_name
  subnet_id           = dependency.core.outputs.nodes_subnet_id
  key_vault_id        = dependency.core.outputs.key_vault_id
}
