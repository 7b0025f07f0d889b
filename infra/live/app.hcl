# What every app's stack is told alike, in every environment. A shim in <env>/apps/<app_id>/ includes it and adds what is the app's own.

locals {
  env = read_terragrunt_config(find_in_parent_folders("env.hcl")).locals
}

terraform {
  source = "${dirname(find_in_parent_folders("root.hcl"))}/../modules//app-stack"
}

dependency "core" {
  config_path = "${get_terragrunt_dir()}/../../core"

  # Before the first apply there is nothing to read; these serve plans, and no apply.
  mock_outputs_allowed_terraform_commands = ["init", "validate", "plan"]
  mock_outputs = {
    resource_group_name              = "rg-mock"
    container_app_environment_id     = "/subscriptions/0/resourceGroups/rg-mock/providers/Microsoft.App/managedEnvironments/mock"
    container_app_environment_domain = "mock.azurecontainerapps.io"
    acr_id                           = "/subscriptions/0/resourceGroups/rg-mock/providers/Microsoft.ContainerRegistry/registries/mock"
    acr_login_server                 = "mock.azurecr.io"
    key_vault_id                     = "/subscriptions/0/resourceGroups/rg-mock/providers/Microsoft.KeyVault/vaults/mock"
    key_vault_uri                    = "https://mock.vault.azure.net/"
    artifacts_account_id             = "/subscriptions/0/resourceGroups/rg-mock/providers/Microsoft.Storage/storageAccounts/mock"
    artifacts_url                    = "https://mock.blob.core.windows.net/"
    servicebus_namespace_id          = "/subscriptions/0/resourceGroups/rg-mock/providers/Microsoft.ServiceBus/namespaces/mock"
    servicebus_namespace_name        = "mock"
    action_group_id                  = "/subscriptions/0/resourceGroups/rg-mock/providers/Microsoft.Insights/actionGroups/mock"
  }
}

dependency "appserver" {
  config_path = "${get_terragrunt_dir()}/../../appserver"

  mock_outputs_allowed_terraform_commands = ["init", "validate", "plan"]
  mock_outputs = {
    url = "https://appserver.mock.azurecontainerapps.io"
  }
}

inputs = {
  env      = local.env.env
  location = local.env.location
  jwt      = local.env.jwt

  # The images of the commit that last changed the app: the same words that CI tags them with, so that every deploy of one checkout is
  # the same, and none takes an image back.
  image_tag = run_cmd("--terragrunt-quiet", "git", "-C", get_repo_root(), "log", "-1", "--format=%H", "--", "apps/${basename(get_terragrunt_dir())}")

  resource_group_name              = dependency.core.outputs.resource_group_name
  container_app_environment_id     = dependency.core.outputs.container_app_environment_id
  container_app_environment_domain = dependency.core.outputs.container_app_environment_domain
  acr_id                           = dependency.core.outputs.acr_id
  acr_login_server                 = dependency.core.outputs.acr_login_server
  key_vault_id                     = dependency.core.outputs.key_vault_id
  key_vault_uri                    = dependency.core.outputs.key_vault_uri
  artifacts_account_id             = dependency.core.outputs.artifacts_account_id
  artifacts_url                    = dependency.core.outputs.artifacts_url
  servicebus_namespace_id          = dependency.core.outputs.servicebus_namespace_id
  servicebus_namespace_name        = dependency.core.outputs.servicebus_namespace_name
  action_group_id                  = dependency.core.outputs.action_group_id
  app_server_url                   = dependency.appserver.outputs.url
}
