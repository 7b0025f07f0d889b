# What the gateway's stack promises, on a mock of Azure.

mock_provider "azurerm" {
  mock_resource "azurerm_user_assigned_identity" {
    defaults = { id = "/identities/appserver", principal_id = "11111111-1111-1111-1111-111111111111" }
  }
}

variables {
  env                          = "test"
  location                     = "westeurope"
  image_tag                    = "0123456789abcdef0123456789abcdef01234567"
  resource_group_name          = "rg-acme-test"
  container_app_environment_id = "/environments/one"
  registry_storage_name        = "registry"
  acr_id                       = "/registries/acme"
  acr_login_server             = "acme.azurecr.example"
  key_vault_id                 = "/vaults/acme"
  key_vault_uri                = "https://acme.vault.example/"
  nodes                        = [{ name = "default-1", url = "http://10.40.4.4:6500/", slots = 4, pools = ["default"] }]
  jwt                          = { jwks_url = "https://id.example/jwks.json", issuer = "https://id.example", audience = "authenticated" }
}

run "the_registry_is_a_share_and_the_nodes_are_in_the_settings" {
  assert {
    condition     = [for volume in azurerm_container_app.this.template[0].volume : volume.storage_name if volume.storage_type == "NfsAzureFile"] == ["registry"]
    error_message = "the registry is mounted"
  }
  assert {
    condition     = strcontains(join("", [for secret in azurerm_container_app.this.secret : secret.value if secret.name == "settings"]), "url = \"http://10.40.4.4:6500/\"\nslots = 4\npools = [\"default\"]")
    error_message = "the node stands in the settings"
  }
}

run "the_key_of_the_nodes_comes_from_the_vault" {
  assert {
    condition     = [for secret in azurerm_container_app.this.secret : secret.key_vault_secret_id if secret.name == "rhino-compute-key"] == ["https://acme.vault.example/secrets/rhino-compute-key"]
    error_message = "a reference to the vault"
  }
  assert {
    condition     = azurerm_role_assignment.node_key.scope == "/vaults/acme/secrets/rhino-compute-key"
    error_message = "it may read this secret, and no other"
  }
}

run "two_nodes_of_one_name_are_refused" {
  command = plan
  variables {
    nodes = [
      { name = "a", url = "http://10.40.4.4:6500/", slots = 4, pools = ["default"] },
      { name = "a", url = "http://10.40.4.4:6501/", slots = 4, pools = ["default"] },
    ]
  }
  expect_failures = [var.nodes]
}
