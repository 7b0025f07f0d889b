# What an app's stack promises, on a mock of Azure.

mock_provider "azurerm" {
  mock_resource "azurerm_user_assigned_identity" {
    defaults = {
      id           = "/subscriptions/0/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/one"
      principal_id = "11111111-1111-1111-1111-111111111111"
    }
  }
}

override_resource {
  target = azurerm_user_assigned_identity.scaler
  values = { id = "/identities/scaler", principal_id = "22222222-2222-2222-2222-222222222222" }
}

variables {
  app_id                           = "seatbuilder"
  env                              = "test"
  location                         = "westeurope"
  image_tag                        = "0123456789abcdef0123456789abcdef01234567"
  resource_group_name              = "rg-acme-test"
  container_app_environment_id     = "/environments/one"
  container_app_environment_domain = "one.azurecontainerapps.example"
  acr_id                           = "/registries/acme"
  acr_login_server                 = "acme.azurecr.example"
  key_vault_id                     = "/vaults/acme"
  key_vault_uri                    = "https://acme.vault.example/"
  artifacts_account_id             = "/accounts/acme"
  artifacts_url                    = "https://acme.blob.example/"
  servicebus_namespace_id          = "/namespaces/acme"
  servicebus_namespace_name        = "acme"
  action_group_id                  = "/groups/operators"
  app_server_url                   = "https://appserver.example"
  jwt                              = { jwks_url = "https://id.example/jwks.json", issuer = "https://id.example", audience = "authenticated" }
}

run "the_scale_rule_watches_the_apps_own_queue_by_identity" {
  assert {
    condition     = azurerm_servicebus_queue.jobs.name == "jobs-seatbuilder" && output.queue_name == "jobs-seatbuilder"
    error_message = "the queue is jobs-<app_id>"
  }
  assert {
    condition     = azurerm_container_app.worker.template[0].custom_scale_rule[0].metadata.queueName == "jobs-seatbuilder"
    error_message = "another queue is watched"
  }
  assert {
    condition     = azurerm_container_app.worker.template[0].custom_scale_rule[0].identity_id == "/identities/scaler" && length(azurerm_container_app.worker.template[0].custom_scale_rule[0].authentication) == 0
    error_message = "the rule counts by an identity of its own, and by no connection string"
  }
  assert {
    condition     = contains(azurerm_container_app.worker.identity[0].identity_ids, "/identities/scaler")
    error_message = "an identity that the container does not have cannot be used"
  }
  assert {
    condition     = azurerm_role_assignment.scaler.scope == azurerm_servicebus_queue.jobs.id && azurerm_role_assignment.scaler.principal_id == "22222222-2222-2222-2222-222222222222"
    error_message = "the scaler may manage this queue, and nothing else"
  }
  assert {
    condition     = azurerm_servicebus_queue.jobs.dead_lettering_on_message_expiration && azurerm_servicebus_queue.jobs.lock_duration == "PT5M"
    error_message = "a message that expires is kept, and a lock lasts as long as it can"
  }
}

run "callers_reach_the_api_and_nobody_reaches_the_worker" {
  assert {
    condition     = azurerm_container_app.api.ingress[0].external_enabled && azurerm_container_app.api.ingress[0].target_port == 3001
    error_message = "the API is reached"
  }
  assert {
    condition     = length(azurerm_container_app.worker.ingress) == 0
    error_message = "the worker has no ingress"
  }
}

run "what_is_secret_comes_from_the_vault_and_each_program_reads_its_own" {
  assert {
    condition     = alltrue([for app in [azurerm_container_app.api, azurerm_container_app.worker] : alltrue([for secret in app.secret : secret.value == null && startswith(secret.key_vault_secret_id, "https://acme.vault.example/secrets/seatbuilder-")])])
    error_message = "a secret is no reference to the vault"
  }
  assert {
    condition     = alltrue([for app in [azurerm_container_app.api, azurerm_container_app.worker] : alltrue([for env in app.template[0].container[0].env : env.secret_name != null if contains(["DATABASE_URL", "APP_SERVER_KEY", "SERVICEBUS_CONN"], env.name)])])
    error_message = "a secret stands in a container's settings"
  }
  assert {
    condition     = length([for env in azurerm_container_app.worker.template[0].container[0].env : env if env.secret_name != null]) == 3
    error_message = "the worker has three secrets"
  }
  assert {
    condition     = toset([for role in azurerm_role_assignment.secrets : role.scope]) == toset(["/vaults/acme/secrets/seatbuilder-database-url-api", "/vaults/acme/secrets/seatbuilder-database-url-worker", "/vaults/acme/secrets/seatbuilder-app-server-key", "/vaults/acme/secrets/seatbuilder-servicebus-conn-api", "/vaults/acme/secrets/seatbuilder-servicebus-conn-worker"])
    error_message = "roles cover one secret each, and those of this app only"
  }
  assert {
    condition     = !azurerm_servicebus_queue_authorization_rule.send.listen && !azurerm_servicebus_queue_authorization_rule.send.manage && !azurerm_servicebus_queue_authorization_rule.work.manage
    error_message = "the API sends, the worker works, and neither manages"
  }
}

run "everything_that_costs_says_for_whom" {
  assert {
    condition     = alltrue([for tags in [azurerm_container_app.api.tags, azurerm_container_app.worker.tags, azurerm_user_assigned_identity.scaler.tags] : tags.app_id == "seatbuilder" && tags.env == "test"])
    error_message = "tags app_id and env"
  }
}

run "alerts_look_at_this_app_and_reach_the_operators" {
  assert {
    condition     = tolist(azurerm_monitor_metric_alert.dead_letters.criteria)[0].dimension[0].values[0] == "jobs-seatbuilder"
    error_message = "dead letters of this queue"
  }
  assert {
    condition     = alltrue([for alert in azurerm_monitor_metric_alert.restarts : tolist(alert.action)[0].action_group_id == "/groups/operators"])
    error_message = "an alert that reaches nobody"
  }
}

run "a_bad_app_id_is_refused" {
  command = plan
  variables {
    app_id = "Seat_Builder"
  }
  expect_failures = [var.app_id]
}

run "an_app_id_that_makes_a_name_too_long_is_refused" {
  command = plan
  variables {
    app_id = "abcdefghijklmnopqrstuvwxy"
  }
  expect_failures = [var.app_id]
}

run "the_longest_app_id_fits" {
  command = plan
  variables {
    app_id = "abcdefghijklmnopqrstuvwx"
  }
  assert {
    condition     = length(azurerm_container_app.worker.name) <= 32
    error_message = "the name of a container app has 32 characters at most"
  }
}

run "a_tag_that_moves_is_refused" {
  command = plan
  variables {
    image_tag = "latest"
  }
  expect_failures = [var.image_tag]
}

run "more_least_than_most_is_refused" {
  command = plan
  variables {
    worker_replicas = { min = 3, max = 2 }
  }
  expect_failures = [var.worker_replicas]
}
