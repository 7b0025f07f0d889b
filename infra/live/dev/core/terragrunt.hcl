include "root" {
  path = find_in_parent_folders("root.hcl")
}

locals {
  env = read_terragrunt_config(find_in_parent_folders("env.hcl")).locals
}

terraform {
  source = "${dirname(find_in_parent_folders("root.hcl"))}/../modules//core"
}

inputs = {
  name            = local.env.name
  env             = local.env.env
  location        = local.env.location
  entra_tenant_id = local.env.entra_tenant_id
  operators       = local.env.operators
}
