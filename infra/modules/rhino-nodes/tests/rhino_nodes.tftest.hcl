# What a pool of nodes promises, on a mock of Azure.

mock_provider "azurerm" {
  mock_resource "azurerm_lb" {
    defaults = { private_ip_address = "10.40.4.4" }
  }
}

variables {
  env                 = "test"
  pool                = "gpu"
  app_id              = "daylight"
  location            = "westeurope"
  resource_group_name = "rg-acme-test"
  subnet_id           = "/subnets/nodes"
  key_vault_id        = "/vaults/acme"
  image_id            = "/images/rhino-8"
  instances           = 3
  slots               = 4
  admin_password      = "not-used-anywhere-1"
}

run "each_machine_has_a_port_of_its_own" {
  assert {
    condition     = output.nodes == [for index in range(3) : { name = "gpu-${index + 1}", url = "http://10.40.4.4:${6500 + index}/", slots = 4, pools = ["gpu"] }]
    error_message = "what the gateway is told"
  }
  assert {
    condition     = azurerm_lb_nat_rule.this.frontend_port_start == 6500 && azurerm_lb_nat_rule.this.frontend_port_end == 6502 && azurerm_lb_nat_rule.this.backend_port == 6500
    error_message = "as many ports as machines"
  }
}

run "the_pool_says_who_pays" {
  assert {
    condition     = azurerm_windows_virtual_machine_scale_set.this.tags.app_id == "daylight" && azurerm_lb.this.tags.env == "test"
    error_message = "tags app_id and env"
  }
}

run "no_machine_is_no_pool" {
  command = plan
  variables {
    instances = 0
  }
  expect_failures = [var.instances]
}
