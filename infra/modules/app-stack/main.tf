# One app: its queue, its API, its worker, its container of artifacts, who they are and what they may, and alerts. Everything is named
# after the app, so that a second app is a second set of these and touches nothing of the first.

locals {
  tags  = { app_id = var.app_id, env = var.env }
  queue = "jobs-${var.app_id}"
  image = {
    api    = "${var.acr_login_server}/${var.app_id}/api:${var.image_tag}"
    worker = "${var.acr_login_server}/${var.app_id}/worker:${var.image_tag}"
  }

  # Environment variable of a program -> secret of the vault. Each identity may read those of its own program, and no others.
  # The first three are put into the vault by hand (docs/infra.md), the last two below.
  secrets = {
    api = {
      DATABASE_URL    = "${var.app_id}-database-url-api"
      APP_SERVER_KEY  = "${var.app_id}-app-server-key"
      SERVICEBUS_CONN = azurerm_key_vault_secret.send.name
    }
    worker = {
      DATABASE_URL    = "${var.app_id}-database-url-worker"
      APP_SERVER_KEY  = "${var.app_id}-app-server-key"
      SERVICEBUS_CONN = azurerm_key_vault_secret.work.name
    }
  }
  shared_env = {
    APP_ID         = var.app_id
    APP_SERVER_URL = var.app_server_url
    ARTIFACTS_URL  = "${trimsuffix(var.artifacts_url, "/")}/${azurerm_storage_container.artifacts.name}"
  }
  env = {
    api = merge(local.shared_env, {
      API_LISTEN      = "0.0.0.0:3001"
      JWT_JWKS_URL    = var.jwt.jwks_url
      JWT_ISSUER      = var.jwt.issuer
      JWT_AUDIENCE    = var.jwt.audience
      PUBLIC_URL      = "https://api-${var.app_id}.${var.container_app_environment_domain}"
      AZURE_CLIENT_ID = azurerm_user_assigned_identity.program["api"].client_id
    })
    worker = merge(local.shared_env, {
      WORKER_LISTEN   = "0.0.0.0:3002"
      QUEUE_NAME      = local.queue
      JOB_TIMEOUT_SEC = tostring(var.job_timeout_sec)
      JOBS_AT_ONCE    = tostring(var.jobs_at_once)
      AZURE_CLIENT_ID = azurerm_user_assigned_identity.program["worker"].client_id
    })
  }
}

# === who

resource "azurerm_user_assigned_identity" "program" {
  for_each            = toset(["api", "worker"])
  name                = "id-${each.key}-${var.app_id}"
  location            = var.location
  resource_group_name = var.resource_group_name
  tags                = local.tags
}

# KEDA counts messages, for which Azure asks for the right to manage the queue. The worker's own identity has no such right.
resource "azurerm_user_assigned_identity" "scaler" {
  name                = "id-scaler-${var.app_id}"
  location            = var.location
  resource_group_name = var.resource_group_name
  tags                = local.tags
}

# === the queue

resource "azurerm_servicebus_queue" "jobs" {
  name                                 = local.queue
  namespace_id                         = var.servicebus_namespace_id
  lock_duration                        = "PT5M" # The longest there is; the worker renews it.
  max_delivery_count                   = 10
  dead_lettering_on_message_expiration = true
  default_message_ttl                  = "P14D"
}

resource "azurerm_servicebus_queue_authorization_rule" "send" {
  name     = "send"
  queue_id = azurerm_servicebus_queue.jobs.id
  listen   = false
  send     = true
  manage   = false
}

resource "azurerm_servicebus_queue_authorization_rule" "work" {
  name     = "work"
  queue_id = azurerm_servicebus_queue.jobs.id
  listen   = true
  send     = true # What is not due is sent again for later.
  manage   = false
}

resource "azurerm_key_vault_secret" "send" {
  name         = "${var.app_id}-servicebus-conn-api"
  value        = azurerm_servicebus_queue_authorization_rule.send.primary_connection_string
  key_vault_id = var.key_vault_id
  content_type = "connection string of ${local.queue}, send only"
  tags         = local.tags
}

resource "azurerm_key_vault_secret" "work" {
  name         = "${var.app_id}-servicebus-conn-worker"
  value        = azurerm_servicebus_queue_authorization_rule.work.primary_connection_string
  key_vault_id = var.key_vault_id
  content_type = "connection string of ${local.queue}, listen and send"
  tags         = local.tags
}

# === artifacts

resource "azurerm_storage_container" "artifacts" {
  name                  = "artifacts-${var.app_id}"
  storage_account_id    = var.artifacts_account_id
  container_access_type = "private"
  metadata              = { app_id = replace(var.app_id, "-", "_"), env = var.env }
}

# === what they may

resource "azurerm_role_assignment" "pull" {
  for_each             = azurerm_user_assigned_identity.program
  scope                = var.acr_id
  role_definition_name = "AcrPull"
  principal_id         = each.value.principal_id
}

resource "azurerm_role_assignment" "secrets" {
  for_each = merge([
    for program, secrets in local.secrets : { for variable, secret in secrets : "${program}/${variable}" => { program = program, secret = secret } }
  ]...)
  scope                = "${var.key_vault_id}/secrets/${each.value.secret}"
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_user_assigned_identity.program[each.value.program].principal_id
}

resource "azurerm_role_assignment" "artifacts" {
  for_each             = { api = "Storage Blob Data Reader", worker = "Storage Blob Data Contributor" }
  scope                = azurerm_storage_container.artifacts.id
  role_definition_name = each.value
  principal_id         = azurerm_user_assigned_identity.program[each.key].principal_id
}

# Links to artifacts are signed with a key that Azure lends to the API. It opens what the API may read, and nothing else.
resource "azurerm_role_assignment" "links" {
  scope                = var.artifacts_account_id
  role_definition_name = "Storage Blob Delegator"
  principal_id         = azurerm_user_assigned_identity.program["api"].principal_id
}

resource "azurerm_role_assignment" "scaler" {
  scope                = azurerm_servicebus_queue.jobs.id
  role_definition_name = "Azure Service Bus Data Owner"
  principal_id         = azurerm_user_assigned_identity.scaler.principal_id
}

# === the API

resource "azurerm_container_app" "api" {
  name                         = "api-${var.app_id}"
  container_app_environment_id = var.container_app_environment_id
  resource_group_name          = var.resource_group_name
  revision_mode                = "Single"
  workload_profile_name        = "Consumption"
  tags                         = local.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.program["api"].id]
  }

  registry {
    server   = var.acr_login_server
    identity = azurerm_user_assigned_identity.program["api"].id
  }

  dynamic "secret" {
    for_each = local.secrets.api
    content {
      name                = lower(replace(secret.key, "_", "-"))
      key_vault_secret_id = "${trimsuffix(var.key_vault_uri, "/")}/secrets/${secret.value}"
      identity            = azurerm_user_assigned_identity.program["api"].id
    }
  }

  ingress {
    external_enabled           = true
    target_port                = 3001
    transport                  = "http"
    allow_insecure_connections = false
    traffic_weight {
      latest_revision = true
      percentage      = 100
    }
  }

  template {
    min_replicas                     = var.api_replicas.min
    max_replicas                     = var.api_replicas.max
    termination_grace_period_seconds = 40 # The API drains for 30 s.

    container {
      name   = "api"
      image  = local.image.api
      cpu    = 0.25
      memory = "0.5Gi"

      dynamic "env" {
        for_each = local.env.api
        content {
          name  = env.key
          value = env.value
        }
      }
      dynamic "env" {
        for_each = local.secrets.api
        content {
          name        = env.key
          secret_name = lower(replace(env.key, "_", "-"))
        }
      }

      liveness_probe {
        transport = "HTTP"
        port      = 3001
        path      = "/livez"
      }
      readiness_probe {
        transport = "HTTP"
        port      = 3001
        path      = "/readyz"
      }
      startup_probe {
        transport               = "HTTP"
        port                    = 3001
        path                    = "/livez"
        interval_seconds        = 1
        failure_count_threshold = 30
      }
    }

    http_scale_rule {
      name                = "requests"
      concurrent_requests = "100"
    }
  }

  depends_on = [azurerm_role_assignment.pull, azurerm_role_assignment.secrets]
}

# === the worker: nobody calls it, so it has no ingress

resource "azurerm_container_app" "worker" {
  name                         = "worker-${var.app_id}"
  container_app_environment_id = var.container_app_environment_id
  resource_group_name          = var.resource_group_name
  revision_mode                = "Single"
  workload_profile_name        = "Consumption"
  tags                         = local.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.program["worker"].id, azurerm_user_assigned_identity.scaler.id]
  }

  registry {
    server   = var.acr_login_server
    identity = azurerm_user_assigned_identity.program["worker"].id
  }

  dynamic "secret" {
    for_each = local.secrets.worker
    content {
      name                = lower(replace(secret.key, "_", "-"))
      key_vault_secret_id = "${trimsuffix(var.key_vault_uri, "/")}/secrets/${secret.value}"
      identity            = azurerm_user_assigned_identity.program["worker"].id
    }
  }

  template {
    min_replicas                     = var.worker_replicas.min
    max_replicas                     = var.worker_replicas.max
    polling_interval_in_seconds      = 15
    cooldown_period_in_seconds       = 300
    termination_grace_period_seconds = 60 # The worker drains for 20 s, and gives back what is left.

    container {
      name   = "worker"
      image  = local.image.worker
      cpu    = 0.5
      memory = "1Gi"

      dynamic "env" {
        for_each = local.env.worker
        content {
          name  = env.key
          value = env.value
        }
      }
      dynamic "env" {
        for_each = local.secrets.worker
        content {
          name        = env.key
          secret_name = lower(replace(env.key, "_", "-"))
        }
      }

      liveness_probe {
        transport = "HTTP"
        port      = 3002
        path      = "/livez"
      }
      startup_probe {
        transport               = "HTTP"
        port                    = 3002
        path                    = "/livez"
        interval_seconds        = 1
        failure_count_threshold = 30
      }
    }

    custom_scale_rule {
      name             = "jobs"
      custom_rule_type = "azure-servicebus"
      identity_id      = azurerm_user_assigned_identity.scaler.id
      metadata = {
        namespace    = var.servicebus_namespace_name
        queueName    = azurerm_servicebus_queue.jobs.name
        messageCount = tostring(var.jobs_at_once)
      }
    }
  }

  depends_on = [azurerm_role_assignment.pull, azurerm_role_assignment.secrets, azurerm_role_assignment.scaler]
}

# === alerts. Burn rates of the objectives are Prometheus's; these two hold without it.

resource "azurerm_monitor_metric_alert" "dead_letters" {
  name                = "${local.queue}-dead-letters"
  resource_group_name = var.resource_group_name
  scopes              = [var.servicebus_namespace_id]
  description         = "Jobs of ${var.app_id} were given up: see docs/operations.md, dead letters."
  severity            = 2
  frequency           = "PT5M"
  window_size         = "PT15M"
  tags                = local.tags

  criteria {
    metric_namespace = "Microsoft.ServiceBus/namespaces"
    metric_name      = "DeadletteredMessages"
    aggregation      = "Maximum"
    operator         = "GreaterThan"
    threshold        = 0
    dimension {
      name     = "EntityName"
      operator = "Include"
      values   = [azurerm_servicebus_queue.jobs.name]
    }
  }

  action {
    action_group_id = var.action_group_id
  }
}

resource "azurerm_monitor_metric_alert" "restarts" {
  for_each            = { api = azurerm_container_app.api.id, worker = azurerm_container_app.worker.id }
  name                = "${each.key}-${var.app_id}-restarts"
  resource_group_name = var.resource_group_name
  scopes              = [each.value]
  description         = "The ${each.key} of ${var.app_id} ends again and again: see docs/operations.md, start."
  severity            = 2
  frequency           = "PT5M"
  window_size         = "PT15M"
  tags                = local.tags

  criteria {
    metric_namespace = "Microsoft.App/containerapps"
    metric_name      = "RestartCount"
    aggregation      = "Maximum"
    operator         = "GreaterThan"
    threshold        = 3
  }

  action {
    action_group_id = var.action_group_id
  }
}
