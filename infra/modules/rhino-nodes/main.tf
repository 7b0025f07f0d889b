# Rhino.Compute on a set of equal Windows machines, one set a pool. The gateway has to tell the machines apart, because it attests each,
# counts its slots, and leaves it out alone: so the inner load balancer balances nothing, and gives each machine a port of its own.

locals {
  tags  = { app_id = var.app_id, env = var.env }
  first = 6500
  ports = range(local.first, local.first + var.instances)
}

resource "azurerm_lb" "this" {
  name                = "lb-rhino-${var.pool}-${var.env}"
  location            = var.location
  resource_group_name = var.resource_group_name
  sku                 = "Standard"
  tags                = local.tags

  frontend_ip_configuration {
    name                          = "inner"
    subnet_id                     = var.subnet_id
    private_ip_address_allocation = "Dynamic"
  }
}

resource "azurerm_lb_backend_address_pool" "this" {
  name            = "machines"
  loadbalancer_id = azurerm_lb.this.id
}

resource "azurerm_lb_nat_rule" "this" {
  name                           = "compute"
  resource_group_name            = var.resource_group_name
  loadbalancer_id                = azurerm_lb.this.id
  frontend_ip_configuration_name = azurerm_lb.this.frontend_ip_configuration[0].name
  backend_address_pool_id        = azurerm_lb_backend_address_pool.this.id
  protocol                       = "Tcp"
  frontend_port_start            = local.first
  frontend_port_end              = local.first + var.instances - 1
  backend_port                   = 6500
}

resource "azurerm_windows_virtual_machine_scale_set" "this" {
  name                        = "rhino-${var.pool}"
  computer_name_prefix        = substr("rh-${var.pool}", 0, 9)
  location                    = var.location
  resource_group_name         = var.resource_group_name
  sku                         = var.size
  instances                   = var.instances
  source_image_id             = var.image_id
  upgrade_mode                = "Manual" # A machine is drained first: docs/operations.md.
  overprovision               = false    # Each machine has a license, and a port.
  admin_username              = "operator"
  admin_password              = var.admin_password
  encryption_at_host_enabled  = true
  secure_boot_enabled         = true
  vtpm_enabled                = true
  platform_fault_domain_count = 1
  tags                        = local.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.this.id]
  }

  os_disk {
    caching              = "ReadOnly"
    storage_account_type = "Premium_LRS"
  }

  network_interface {
    name    = "nic"
    primary = true
    ip_configuration {
      name                                   = "inner"
      primary                                = true
      subnet_id                              = var.subnet_id
      load_balancer_backend_address_pool_ids = [azurerm_lb_backend_address_pool.this.id]
    }
  }

  boot_diagnostics {}

  lifecycle {
    # Whoever applies may give another; the machines keep the first.
    ignore_changes = [admin_password]
    precondition {
      condition     = var.instances <= 100
      error_message = "a set has 100 machines at most: make another pool."
    }
  }
}

# The image's start script reads the key and the license's token from the vault with it.
resource "azurerm_user_assigned_identity" "this" {
  name                = "id-rhino-${var.pool}-${var.env}"
  location            = var.location
  resource_group_name = var.resource_group_name
  tags                = local.tags
}

resource "azurerm_role_assignment" "secrets" {
  for_each             = toset(var.secrets)
  scope                = "${var.key_vault_id}/secrets/${each.value}"
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_user_assigned_identity.this.principal_id
}
