# What the shared part promises, on a mock of Azure.

mock_provider "azurerm" {
  mock_resource "azurerm_subnet" {
    defaults = { address_prefixes = ["10.40.0.0/22"] }
  }
}

variables {
  name            = "acme-test"
  env             = "test"
  location        = "westeurope"
  entra_tenant_id = "00000000-0000-0000-0000-000000000000"
}

run "no_key_opens_files_and_no_password_opens_images" {
  assert {
    condition     = !azurerm_storage_account.artifacts.shared_access_key_enabled && !azurerm_storage_account.registry.shared_access_key_enabled
    error_message = "storage is opened by identities only"
  }
  assert {
    condition     = !azurerm_container_registry.this.admin_enabled && azurerm_key_vault.this.rbac_authorization_enabled
    error_message = "images and secrets are opened by identities only"
  }
}

run "the_registry_is_reached_from_the_containers_only" {
  assert {
    condition     = azurerm_storage_account.registry.network_rules[0].default_action == "Deny" && azurerm_container_app_environment_storage.registry.access_mode == "ReadOnly"
    error_message = "a share without a key is open to its network alone"
  }
}

run "names_fit_where_letters_are_few" {
  assert {
    condition     = azurerm_storage_account.artifacts.name == "stacmetestart" && azurerm_container_registry.this.name == "acracmetest"
    error_message = "names of storage and images"
  }
}

run "a_long_name_is_refused" {
  command = plan
  variables {
    name = "a-name-that-is-long"
  }
  expect_failures = [var.name]
}

run "a_network_that_is_too_small_is_refused" {
  command = plan
  variables {
    address_space = "10.40.0.0/24"
  }
  expect_failures = [var.address_space]
}
