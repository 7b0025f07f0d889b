output "nodes" {
  description = "What the gateway is told of them."
  value = [for index, port in local.ports : {
    name  = "${var.pool}-${index + 1}"
    url   = "http://${azurerm_lb.this.private_ip_address}:${port}/"
    slots = var.slots
    pools = [var.pool]
  }]
}
