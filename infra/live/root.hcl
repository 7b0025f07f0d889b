# What every unit of every environment has: where its state is kept, and the provider. A unit includes it by its name.

locals {
  env = read_terragrunt_config(find_in_parent_folders("env.hcl")).locals
}

remote_state {
  backend = "azurerm"
  generate = {
    path      = "backend.tf"
    if_exists = "overwrite_terragrunt"
  }
  config = {
    subscription_id      = local.env.subscription_id
    resource_group_name  = local.env.state.resource_group_name
    storage_account_name = local.env.state.storage_account_name
    container_name       = "tfstate"
    key                  = "${path_relative_to_include()}/terraform.tfstate"
    use_azuread_auth     = true
    use_oidc             = true
  }
}

generate "provider" {
  path      = "provider.tf"
  if_exists = "overwrite_terragrunt"
  contents  = <<-HCL
    provider "azurerm" {
      subscription_id     = "${local.env.subscription_id}"
      storage_use_azuread = true
      resource_providers_to_register = [
        "Microsoft.App", "Microsoft.Compute", "Microsoft.ContainerRegistry", "Microsoft.Insights", "Microsoft.KeyVault",
        "Microsoft.ManagedIdentity", "Microsoft.Network", "Microsoft.OperationalInsights", "Microsoft.ServiceBus", "Microsoft.Storage",
      ]
      features {}
    }
  HCL
}
