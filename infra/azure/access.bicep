// Who may do what, on exactly the resources of this deployment.
param servicePrincipalId string
param personPrincipalId string
param storageName string
param insightsName string
param cosmos bool
@description('A name even where there is no such account: those of resources that are not made are checked, too.')
param cosmosName string
@description('The Key Vault that holds the password of a database; none if empty.')
param vaultName string

var storageTableDataContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
var storageBlobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var monitoringMetricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'
var keyVaultSecretsUser = '4633458b-17de-408a-874b-0445c86b69e6'
var cosmosTableDataContributor = '00000000-0000-0000-0000-000000000002'

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: storageName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource account 'Microsoft.DocumentDB/databaseAccounts@2026-03-15' existing = if (cosmos) {
  name: cosmosName
}

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = if (!empty(vaultName)) {
  name: empty(vaultName) ? 'none' : vaultName
}

// The threads. The host, too, notes there what it could not start.
resource serviceTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, servicePrincipalId, storageTableDataContributor)
  properties: {
    principalId: servicePrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageTableDataContributor)
  }
}

// The deployed code, and the containers that the host makes for its keys and for the timer's lease.
resource serviceBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, servicePrincipalId, storageBlobDataOwner)
  properties: {
    principalId: servicePrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataOwner)
  }
}

resource serviceMetrics 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: insights
  name: guid(insights.id, servicePrincipalId, monitoringMetricsPublisher)
  properties: {
    principalId: servicePrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', monitoringMetricsPublisher)
  }
}

resource serviceVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(vaultName)) {
  scope: vault
  name: guid(vault.id, servicePrincipalId, keyVaultSecretsUser)
  properties: {
    principalId: servicePrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultSecretsUser)
  }
}

resource personTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(personPrincipalId)) {
  scope: storage
  name: guid(storage.id, personPrincipalId, storageTableDataContributor)
  properties: {
    principalId: personPrincipalId
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageTableDataContributor)
  }
}

resource serviceCosmos 'Microsoft.DocumentDB/databaseAccounts/tableRoleAssignments@2026-03-15' = if (cosmos) {
  parent: account
  name: guid(cosmosName, servicePrincipalId)
  properties: {
    principalId: servicePrincipalId
    roleDefinitionId: '${account.id}/tableRoleDefinitions/${cosmosTableDataContributor}'
    scope: account.id
  }
}

resource personCosmos 'Microsoft.DocumentDB/databaseAccounts/tableRoleAssignments@2026-03-15' = if (cosmos && !empty(personPrincipalId)) {
  parent: account
  name: guid(cosmosName, personPrincipalId)
  properties: {
    principalId: personPrincipalId
    roleDefinitionId: '${account.id}/tableRoleDefinitions/${cosmosTableDataContributor}'
    scope: account.id
  }
}
