output "url" {
  description = "Where APIs, workers and callers reach the gateway."
  value       = "https://${azurerm_container_app.this.ingress[0].fqdn}"
}
