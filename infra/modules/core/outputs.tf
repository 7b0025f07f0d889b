output "resource_group_name" {
  value = azurerm_resource_group.this.name
}

output "container_app_environment_id" {
  value = azurerm_container_app_environment.this.id
}

output "container_app_environment_domain" {
  value = azurerm_container_app_environment.this.default_domain
}

output "registry_storage_name" {
  value = azurerm_container_app_environment_storage.registry.name
}

output "acr_id" {
  value = azurerm_container_registry.this.id
}

output "acr_login_server" {
  value = azurerm_container_registry.this.login_server
}

output "key_vault_id" {
  value = azurerm_key_vault.this.id
}

output "key_vault_uri" {
  value = azurerm_key_vault.this.vault_uri
}

output "artifacts_account_id" {
  value = azurerm_storage_account.artifacts.id
}

output "artifacts_url" {
  value = azurerm_storage_account.artifacts.primary_blob_endpoint
}

output "servicebus_namespace_id" {
  value = azurerm_servicebus_namespace.this.id
}

output "servicebus_namespace_name" {
  value = azurerm_servicebus_namespace.this.name
}

output "nodes_subnet_id" {
  value = azurerm_subnet.nodes.id
}

output "action_group_id" {
  value = azurerm_monitor_action_group.operators.id
}
