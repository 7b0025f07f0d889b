# The environment dev. Copy the folder for another one, and change this file.

locals {
  env             = "dev"
  name            = "acme-dev"
  location        = "westeurope"
  subscription_id = "00000000-0000-0000-0000-000000000000"
  entra_tenant_id = "00000000-0000-0000-0000-000000000000"

  # Made once, by hand: docs/infra.md.
  state = {
    resource_group_name  = "rg-acme-state"
    storage_account_name = "stacmestate"
  }

  jwt = {
    jwks_url = "https://id.example/auth/v1/.well-known/jwks.json"
    issuer   = "https://id.example/auth/v1"
    audience = "authenticated"
  }

  operators = {
    on-call = "on-call@example.org"
  }

  # The image of the gateway: the commit that it was built of.
  appserver_image_tag = "0000000000000000000000000000000000000000"

  # Windows with Rhino, Rhino.Compute and the plug-ins of the registry's contracts.
  rhino_image_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-acme-images/providers/Microsoft.Compute/galleries/acme/images/rhino-8/versions/1.0.0"
}
