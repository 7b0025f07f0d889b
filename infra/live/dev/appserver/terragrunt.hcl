include "root" {
  path = find_in_parent_folders("root.hcl")
}

locals {
  env = read_terragrunt_config(find_in_parent_folders("env.hcl")).locals
}

terraform {
  source = "${dirname(find_in_parent_folders("root.hcl"))}/../modules//appserver"
}

dependency "core" {
  config_path = "../core"

  mock_outputs_allowed_terraform_commands = ["init", "validate", "plan"]
  mock_outputs = {
    resource_group_name          = "rg-mock"
    container_app_environment_id = "/subscriptions/0/resourceGroups/rg-mock/providers/Microsoft.App/managedEnvironments/mock"
    registry_storage_name        = "registry"
    acr_id                       = "/subscriptions/0/resourceGroups/rg-mock/providers/Microsoft.ContainerRegistry/registries/mock"
    acr_login_server             = "mock.azurecr.io"
    key_vault_id                 = "/subscriptions/0/resourceGroups/rg-mock/providers/Microsoft.KeyVault/vaults/mock"
    key_vault_uri                = "https://mock.vault.azure.net/"
  }
}

dependency "nodes" {
  config_path = "../rhino-nodes"

  mock_outputs_allowed_terraform_commands = ["init", "validate", "plan"]
  mock_outputs = {
    nodes = [{ name = "default-1", url = "http://10.40.4.4:6500/", slots = 4, pools = ["default"] }]
  }
}

inputs = {
  env                          = local.env.env
  location                     = local.env.location
  jwt                          = local.env.jwt
  image_tag                    = local.env.appserver_image_tag
  nodes                        = dependency.nodes.outputs.nodes
  resource_group_name          = dependency.core.outputs.resource_group_name
  container_app_environment_id = dependency.core.outputs.container_app_environment_id
  registry_storage_name        = dependency.core.outputs.registry_storage_name
  acr_id                       = dependency.core.outputs.acr_id
  acr_login_server             = dependency.core.outputs.acr_login_server
  key_vault_id                 = dependency.core.outputs.key_vault_id
  key_vault_uri                = dependency.core.outputs.key_vault_uri
}
