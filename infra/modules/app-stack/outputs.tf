output "api_fqdn" {
  description = "Where callers reach the API."
  value       = azurerm_container_app.api.ingress[0].fqdn
}

output "queue_name" {
  value = azurerm_servicebus_queue.jobs.name
}

output "artifacts_container" {
  value = azurerm_storage_container.artifacts.name
}
