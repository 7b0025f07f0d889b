# What all apps of an environment share: network, the environment of containers, images, secrets, files, the broker, logs.

locals {
  tags = { env = var.env, app_id = "platform" }
  # Names that are unique in all of Azure take letters and digits only.
  global = replace(var.name, "-", "")
}

resource "azurerm_resource_group" "this" {
  name     = "rg-${var.name}"
  location = var.location
  tags     = local.tags
}

# === network

resource "azurerm_virtual_network" "this" {
  name                = "vnet-${var.name}"
  location            = var.location
  resource_group_name = azurerm_resource_group.this.name
  address_space       = [var.address_space]
  tags                = local.tags
}

resource "azurerm_subnet" "containers" {
  name                 = "containers"
  resource_group_name  = azurerm_resource_group.this.name
  virtual_network_name = azurerm_virtual_network.this.name
  address_prefixes     = [cidrsubnet(var.address_space, 2, 0)]
  service_endpoints    = ["Microsoft.Storage"]

  delegation {
    name = "environment"
    service_delegation {
      name    = "Microsoft.App/environments"
      actions = ["Microsoft.Network/virtualNetworks/subnets/join/action"]
    }
  }
}

resource "azurerm_subnet" "nodes" {
  name                 = "nodes"
  resource_group_name  = azurerm_resource_group.this.name
  virtual_network_name = azurerm_virtual_network.this.name
  address_prefixes     = [cidrsubnet(var.address_space, 2, 1)]
}

# Nodes solve what the gateway sends them, and nobody else reaches them.
resource "azurerm_network_security_group" "nodes" {
  name                = "nsg-${var.name}-nodes"
  location            = var.location
  resource_group_name = azurerm_resource_group.this.name
  tags                = local.tags

  security_rule {
    name                       = "gateway"
    priority                   = 100
    direction                  = "Inbound"
    access                     = "Allow"
    protocol                   = "Tcp"
    source_port_range          = "*"
    destination_port_range     = "6500"
    source_address_prefix      = azurerm_subnet.containers.address_prefixes[0]
    destination_address_prefix = azurerm_subnet.nodes.address_prefixes[0]
  }

  security_rule {
    name                       = "nobody-else"
    priority                   = 4000
    direction                  = "Inbound"
    access                     = "Deny"
    protocol                   = "*"
    source_port_range          = "*"
    destination_port_range     = "*"
    source_address_prefix      = "*"
    destination_address_prefix = "*"
  }
}

resource "azurerm_subnet_network_security_group_association" "nodes" {
  subnet_id                 = azurerm_subnet.nodes.id
  network_security_group_id = azurerm_network_security_group.nodes.id
}

# === where containers run, and what they write

resource "azurerm_log_analytics_workspace" "this" {
  name                = "log-${var.name}"
  location            = var.location
  resource_group_name = azurerm_resource_group.this.name
  sku                 = "PerGB2018"
  retention_in_days   = var.log_retention_days
  tags                = local.tags
}

resource "azurerm_container_app_environment" "this" {
  name                       = "cae-${var.name}"
  location                   = var.location
  resource_group_name        = azurerm_resource_group.this.name
  infrastructure_subnet_id   = azurerm_subnet.containers.id
  logs_destination           = "log-analytics"
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id
  zone_redundancy_enabled    = var.zone_redundant
  tags                       = local.tags

  workload_profile {
    name                  = "Consumption"
    workload_profile_type = "Consumption"
  }

  lifecycle {
    # Azure fills it in.
    ignore_changes = [infrastructure_resource_group_name]
  }
}

# === images

resource "azurerm_container_registry" "this" {
  name                          = "acr${local.global}"
  location                      = var.location
  resource_group_name           = azurerm_resource_group.this.name
  sku                           = var.zone_redundant ? "Premium" : "Standard"
  admin_enabled                 = false
  anonymous_pull_enabled        = false
  zone_redundancy_enabled       = var.zone_redundant
  public_network_access_enabled = true
  tags                          = local.tags
}

# === secrets

resource "azurerm_key_vault" "this" {
  name                       = "kv-${var.name}"
  location                   = var.location
  resource_group_name        = azurerm_resource_group.this.name
  tenant_id                  = var.entra_tenant_id
  sku_name                   = "standard"
  rbac_authorization_enabled = true
  purge_protection_enabled   = true
  soft_delete_retention_days = 90
  tags                       = local.tags
}

# === artifacts, one container an app

resource "azurerm_storage_account" "artifacts" {
  name                            = "st${local.global}art"
  location                        = var.location
  resource_group_name             = azurerm_resource_group.this.name
  account_tier                    = "Standard"
  account_replication_type        = var.zone_redundant ? "ZRS" : "LRS"
  min_tls_version                 = "TLS1_2"
  https_traffic_only_enabled      = true
  shared_access_key_enabled       = false
  allow_nested_items_to_be_public = false
  default_to_oauth_authentication = true
  tags                            = local.tags

  blob_properties {
    delete_retention_policy {
      days = 7
    }
  }
}

# === the registry: a share that the gateway reads, and that is written by whoever publishes. NFS has no key, so it is reached from the
# subnet of the containers only.

resource "azurerm_storage_account" "registry" {
  name                            = "st${local.global}reg"
  location                        = var.location
  resource_group_name             = azurerm_resource_group.this.name
  account_tier                    = "Premium"
  account_kind                    = "FileStorage"
  account_replication_type        = var.zone_redundant ? "ZRS" : "LRS"
  min_tls_version                 = "TLS1_2"
  https_traffic_only_enabled      = false # NFS is no HTTP, and Azure refuses NFS shares where this is true.
  shared_access_key_enabled       = false
  allow_nested_items_to_be_public = false
  tags                            = local.tags

  network_rules {
    default_action             = "Deny"
    bypass                     = ["None"]
    virtual_network_subnet_ids = [azurerm_subnet.containers.id]
  }
}

resource "azurerm_storage_share" "registry" {
  name               = "registry"
  storage_account_id = azurerm_storage_account.registry.id
  enabled_protocol   = "NFS"
  quota              = 100 # GiB, the least of a premium share.
}

resource "azurerm_container_app_environment_storage" "registry" {
  name                         = "registry"
  container_app_environment_id = azurerm_container_app_environment.this.id
  nfs_server_url               = "${azurerm_storage_account.registry.name}.file.core.windows.net"
  share_name                   = "/${azurerm_storage_account.registry.name}/${azurerm_storage_share.registry.name}"
  access_mode                  = "ReadOnly"
}

# === the broker of jobs, one queue an app

resource "azurerm_servicebus_namespace" "this" {
  name                = "sb-${var.name}"
  location            = var.location
  resource_group_name = azurerm_resource_group.this.name
  sku                 = "Standard"
  minimum_tls_version = "1.2"
  # API and worker log in with a key of their app's queue; there is no other key in use.
  local_auth_enabled = true
  tags               = local.tags
}

# === who is told

resource "azurerm_monitor_action_group" "operators" {
  name                = "ag-${var.name}"
  resource_group_name = azurerm_resource_group.this.name
  short_name          = "operators"
  tags                = local.tags

  dynamic "email_receiver" {
    for_each = var.operators
    content {
      name                    = email_receiver.key
      email_address           = email_receiver.value
      use_common_alert_schema = true
    }
  }
}
