# The gateway of an environment: one container app that only the environment reaches, the registry mounted read-only.

locals {
  tags = { app_id = "platform", env = var.env }

  # What it is told by file: everything that is no secret. Nodes are a list of tables, which no environment variable can say.
  settings = join("\n", concat(
    [
      "[registry]",
      "root = \"/registry\"",
      "# Events of a share reach nobody: it is read instead.",
      "watch = false",
      "poll_sec = 10",
      "",
      "[auth]",
      "jwks_url = ${jsonencode(var.jwt.jwks_url)}",
      "issuer = ${jsonencode(var.jwt.issuer)}",
      "audience = ${jsonencode(var.jwt.audience)}",
      "",
      "[address]",
      "# The environment's proxy says who calls.",
      "trusted_proxies = ${jsonencode(var.trusted_proxies)}",
      "",
    ],
    flatten([for node in var.nodes : [
      "[[node]]",
      "name = ${jsonencode(node.name)}",
      "url = ${jsonencode(node.url)}",
      "slots = ${node.slots}",
      "pools = ${jsonencode(node.pools)}",
      "",
    ]])
  ))
}

resource "azurerm_user_assigned_identity" "this" {
  name                = "id-appserver-${var.env}"
  location            = var.location
  resource_group_name = var.resource_group_name
  tags                = local.tags
}

resource "azurerm_role_assignment" "pull" {
  scope                = var.acr_id
  role_definition_name = "AcrPull"
  principal_id         = azurerm_user_assigned_identity.this.principal_id
}

resource "azurerm_role_assignment" "node_key" {
  scope                = "${var.key_vault_id}/secrets/${var.node_key_secret}"
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_user_assigned_identity.this.principal_id
}

resource "azurerm_container_app" "this" {
  name                         = "appserver"
  container_app_environment_id = var.container_app_environment_id
  resource_group_name          = var.resource_group_name
  revision_mode                = "Single"
  workload_profile_name        = "Consumption"
  tags                         = local.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.this.id]
  }

  registry {
    server   = var.acr_login_server
    identity = azurerm_user_assigned_identity.this.id
  }

  secret {
    name                = "rhino-compute-key"
    key_vault_secret_id = "${trimsuffix(var.key_vault_uri, "/")}/secrets/${var.node_key_secret}"
    identity            = azurerm_user_assigned_identity.this.id
  }

  # No secret, but the one way to a file.
  secret {
    name  = "settings"
    value = local.settings
  }

  ingress {
    external_enabled           = var.external
    target_port                = 3000
    transport                  = "http"
    allow_insecure_connections = false
    traffic_weight {
      latest_revision = true
      percentage      = 100
    }
  }

  template {
    # Seats and limits are counted by each gateway for itself: with two, an app has twice of each.
    min_replicas                     = 1
    max_replicas                     = 1
    termination_grace_period_seconds = 40 # The gateway drains for 30 s.

    volume {
      name         = "registry"
      storage_type = "NfsAzureFile"
      storage_name = var.registry_storage_name
    }
    volume {
      name         = "settings"
      storage_type = "Secret"
    }

    container {
      name   = "appserver"
      image  = "${var.acr_login_server}/platform/appserver:${var.image_tag}"
      cpu    = var.size.cpu
      memory = var.size.memory
      # The file is named after the secret.
      args = ["serve", "--config", "/settings/settings"]

      env {
        name  = "APPSERVER_SERVER_LISTEN"
        value = "0.0.0.0:3000"
      }
      env {
        name        = "RHINO_COMPUTE_KEY"
        secret_name = "rhino-compute-key"
      }

      volume_mounts {
        name = "registry"
        path = "/registry"
      }
      volume_mounts {
        name = "settings"
        path = "/settings"
      }

      liveness_probe {
        transport = "HTTP"
        port      = 3000
        path      = "/livez"
      }
      readiness_probe {
        transport = "HTTP"
        port      = 3000
        path      = "/readyz"
      }
      startup_probe {
        transport               = "HTTP"
        port                    = 3000
        path                    = "/livez"
        interval_seconds        = 1
        failure_count_threshold = 60
      }
    }
  }

  depends_on = [azurerm_role_assignment.pull, azurerm_role_assignment.node_key]
}
