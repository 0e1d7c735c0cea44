// chatstore on Azure Functions, with its threads in Table Storage, or in Cosmos DB by its Table API.
targetScope = 'resourceGroup'

@minLength(1)
@maxLength(64)
@description('Names the deployment; azd gives the name of its environment.')
param environmentName string

@description('Where everything is.')
param location string = resourceGroup().location

@description('Who deploys: may read and write the threads, to make the first key. Nobody if empty.')
param principalId string = ''

@allowed(['3.11', '3.12', '3.13'])
@description('The version of Python.')
param pythonVersion string = '3.13'

@allowed(['api-key', 'jwt', 'api-key,jwt', 'user-token', 'api-key,user-token', 'platform'])
@description('CHATSTORE_AUTH, how callers show who they are. With platform, Easy Auth checks tokens.')
param auth string = 'api-key'

@secure()
@description('CHATSTORE_USER_TOKEN_SECRETS, what signs tokens of users, with user-token.')
param userTokenSecrets string = ''

@description('Who issues the tokens, with jwt and platform.')
param jwtIssuer string = ''

@description('Whom the tokens are for, with jwt and platform: there the id of the application.')
param jwtAudience string = ''

@description('Which claim of a token names the tenant; if empty, every token is of the tenant "default".')
param jwtTenantClaim string = ''

@description('The origins whose web pages may use the service, with commas.')
param corsOrigins string = ''

@description('How long a thread lives where a request does not say, such as 90d; if empty, for ever.')
param defaultTtl string = ''

@allowed([512, 2048, 4096])
@description('Memory of an instance in MB. Its processor time grows with it.')
param memory int = 512

@minValue(1)
@maxValue(1000)
@description('How many requests an instance works on at once; beyond that another one is started.')
param concurrency int = 16

@minValue(1)
@maxValue(1000)
@description('The most instances at once. Whether Azure takes fewer than 40 its documents do not agree on.')
param instances int = 40

@minValue(0)
@description('Instances that are kept ready for requests, and paid for by the hour.')
param alwaysReady int = 0

@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
@description('How many copies of the threads there are, and where.')
param redundancy string = 'Standard_ZRS'

@description('Whether the threads are in Cosmos DB instead of Table Storage.')
param cosmos bool = false

@minValue(30)
@maxValue(730)
@description('How many days the log is kept.')
param logDays int = 30

@description('Whether the accounts that hold threads refuse to be deleted.')
param deletionProtection bool = true

@minValue(1)
@description('The most gigabytes of log that are taken in a day; what comes beyond is lost until the next one.')
param logGbADay int = 1

@description('Who is written to when an alarm is raised; without an address no alarms are made.')
param alarmEmail string = ''

@minValue(0)
@description('What the resource group may cost in a month, in the currency of its bill, before alarmEmail hears of it; 0 for no budget.')
param monthlyBudget int = 0

@description('The first day of the month in which the budget begins, such as 2026-03-01; it cannot be changed later.')
param budgetStart string = ''

@description('CHATSTORE_FACES, which interfaces the service has: some of native, openai, acs, with commas.')
param faces string = 'native'

@allowed(['off', 'otlp'])
@description('CHATSTORE_TELEMETRY, whether metrics and spans go to a collector.')
param telemetry string = 'off'

@description('Where a collector takes OTLP over HTTP.')
param otlpEndpoint string = ''

@secure()
@description('Headers for the collector, as api-key=..., with commas.')
param otlpHeaders string = ''

@description('The URL of a PostgreSQL, without a password, in place of Table Storage and Cosmos DB.')
param database string = ''

@description('The Key Vault in this resource group that holds the password of the database; nobody logs in by one if empty.')
param databaseVault string = ''

@description('The name of the secret there.')
param databaseSecret string = 'chatstore-database'

@description('The id of a subnet, delegated to Microsoft.App/environments, from which the database is reached; if empty, none.')
param subnet string = ''

var token = uniqueString(resourceGroup().id, environmentName)
var tags = { application: 'chatstore', 'azd-env-name': environmentName }
var tableName = 'chat'
var containerName = 'deployment'
var cosmosName = 'cosmos-${token}'
var hasAlarms = !empty(alarmEmail)
var hasTables = empty(database)
var readsTokens = contains(auth, 'jwt')
var tablesUrl = cosmos ? 'cosmos-table://${cosmosName}/${tableName}' : 'aztables://st${token}/${tableName}'
var url = hasTables ? tablesUrl : database

// Threads outlive the deployment: `make destroy-azure TABLE=delete` deletes them, too.
resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: 'st${token}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: redundancy }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    networkAcls: { bypass: 'AzureServices', defaultAction: 'Allow' }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: storage
  name: 'default'
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = {
  parent: blobs
  name: containerName
  properties: { publicAccess: 'None' }
}

resource tables 'Microsoft.Storage/storageAccounts/tableServices@2025-01-01' = {
  parent: storage
  name: 'default'
}

resource table 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-01-01' = if (hasTables && !cosmos) {
  parent: tables
  name: tableName
}

resource storageLock 'Microsoft.Authorization/locks@2020-05-01' = if (deletionProtection) {
  scope: storage
  name: 'threads'
  properties: { level: 'CanNotDelete', notes: 'Holds the threads of chatstore.' }
}

resource account 'Microsoft.DocumentDB/databaseAccounts@2026-03-15' = if (cosmos) {
  name: cosmosName
  location: location
  tags: tags
  kind: 'GlobalDocumentDB'
  properties: {
    databaseAccountOfferType: 'Standard'
    locations: [{ locationName: location, failoverPriority: 0 }]
    capabilities: [{ name: 'EnableTable' }, { name: 'EnableServerless' }]
    // A strong read costs twice the request units of a weaker one. A reader is owed what was acknowledged, so they are paid.
    consistencyPolicy: { defaultConsistencyLevel: 'Strong' }
    backupPolicy: { type: 'Continuous', continuousModeProperties: { tier: 'Continuous7Days' } }
    disableKeyBasedMetadataWriteAccess: true
    disableLocalAuth: true
    minimalTlsVersion: 'Tls12'
    publicNetworkAccess: 'Enabled'
  }
}

resource cosmosTable 'Microsoft.DocumentDB/databaseAccounts/tables@2026-03-15' = if (cosmos) {
  parent: account
  name: tableName
  properties: { resource: { id: tableName } }
}

resource cosmosLock 'Microsoft.Authorization/locks@2020-05-01' = if (cosmos && deletionProtection) {
  scope: account
  name: 'threads'
  properties: { level: 'CanNotDelete', notes: 'Holds the threads of chatstore.' }
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: 'log-${token}'
  location: location
  tags: tags
  properties: { sku: { name: 'PerGB2018' }, retentionInDays: logDays, workspaceCapping: { dailyQuotaGb: logGbADay } }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'insights-${token}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
  }
}

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = if (hasAlarms) {
  name: 'people-${token}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'chatstore'
    enabled: true
    emailReceivers: [{ name: 'operator', emailAddress: alarmEmail, useCommonAlertSchema: true }]
  }
}

// By the service's own lines: an error, a sweep that failed among them, and an answer of 5xx.
resource serviceFails 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = if (hasAlarms) {
  name: 'fails-${token}'
  location: location
  tags: tags
  properties: {
    displayName: 'chatstore fails'
    description: 'A caller was answered 5xx, or a sweep failed; the log says why'
    severity: 1
    enabled: true
    scopes: [insights.id]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT5M'
    criteria: {
      allOf: [
        {
          query: 'traces | where severityLevel >= 3 or toint(parse_json(message).status) >= 500'
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
        }
      ]
    }
    autoMitigate: true
    actions: { actionGroups: [people.id] }
  }
}

// By the line that a sweep ends with. One an hour is made, so these are three in a row.
resource sweepsFallBehind 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = if (hasAlarms) {
  name: 'behind-${token}'
  location: location
  tags: tags
  properties: {
    displayName: 'chatstore sweeps fall behind'
    description: 'For three hours sweeps have ended with more to do'
    severity: 2
    enabled: true
    scopes: [insights.id]
    evaluationFrequency: 'PT1H'
    windowSize: 'PT3H'
    criteria: {
      allOf: [
        {
          query: 'traces | where parse_json(message).logger == "chatstore.sweep" and tobool(parse_json(message).more)'
          timeAggregation: 'Count'
          operator: 'GreaterThanOrEqual'
          threshold: 3
          failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
        }
      ]
    }
    autoMitigate: true
    actions: { actionGroups: [people.id] }
  }
}

resource tablesThrottle 'Microsoft.Insights/metricAlerts@2018-03-01' = if (hasAlarms && hasTables && !cosmos) {
  name: 'throttled-${token}'
  location: 'global'
  tags: tags
  properties: {
    description: 'Table Storage turned requests away; a thread or an owner is busier than one partition bears'
    severity: 2
    enabled: true
    scopes: [tables.id]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT5M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'throttled'
          metricNamespace: 'Microsoft.Storage/storageAccounts/tableServices'
          metricName: 'Transactions'
          dimensions: [
            { name: 'ResponseType', operator: 'Include', values: ['ServerBusyError', 'ClientThrottlingError', 'ClientAccountRequestThrottlingError'] }
          ]
          timeAggregation: 'Total'
          operator: 'GreaterThan'
          threshold: 0
        }
      ]
    }
    actions: [{ actionGroupId: people.id }]
  }
}

resource budget 'Microsoft.Consumption/budgets@2024-08-01' = if (hasAlarms && monthlyBudget > 0) {
  name: 'chatstore-${token}'
  properties: {
    category: 'Cost'
    amount: monthlyBudget
    timeGrain: 'Monthly'
    timePeriod: { startDate: budgetStart }
    notifications: {
      spent: { enabled: true, operator: 'GreaterThan', threshold: 80, thresholdType: 'Actual', contactEmails: [alarmEmail] }
      foreseen: { enabled: true, operator: 'GreaterThan', threshold: 100, thresholdType: 'Forecasted', contactEmails: [alarmEmail] }
    }
  }
}

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: 'plan-${token}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource site 'Microsoft.Web/sites@2024-11-01' = {
  name: 'chatstore-${token}'
  location: location
  tags: union(tags, { 'azd-service-name': 'service' })
  kind: 'functionapp,linux'
  identity: { type: 'SystemAssigned' }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: empty(subnet) ? null : subnet
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${containerName}'
          authentication: { type: 'SystemAssignedIdentity' }
        }
      }
      runtime: { name: 'python', version: pythonVersion }
      scaleAndConcurrency: {
        instanceMemoryMB: memory
        maximumInstanceCount: instances
        alwaysReady: (alwaysReady == 0) ? [] : [{ name: 'http', instanceCount: alwaysReady }]
        triggers: { http: { perInstanceConcurrency: concurrency } }
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      http20Enabled: true
    }
  }
  dependsOn: [container]
}

// The service answers CORS itself, by CHATSTORE_CORS_ORIGINS.
resource settings 'Microsoft.Web/sites/config@2024-11-01' = {
  parent: site
  name: 'appsettings'
  properties: union({
    AzureWebJobsStorage__accountName: storage.name
    AzureWebJobsStorage__credential: 'managedidentity'
    APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'Authorization=AAD'
    // The blocking client loads sooner, and a function starts often.
    CHATSTORE_URL: hasTables ? '${tablesUrl}?client=blocking' : database
    CHATSTORE_AUTH: auth
    CHATSTORE_JWT_ISSUER: readsTokens ? jwtIssuer : ''
    CHATSTORE_JWT_AUDIENCE: readsTokens ? jwtAudience : ''
    CHATSTORE_JWT_TENANT_CLAIM: jwtTenantClaim
    CHATSTORE_CORS_ORIGINS: corsOrigins
    CHATSTORE_FACES: faces
    CHATSTORE_TELEMETRY: telemetry
    // Looking for plugins takes a part of every cold start, and there are none.
    PYDANTIC_DISABLE_PLUGINS: '__all__'
  }, empty(databaseVault) ? {} : {
    // Read by the function's identity, again within a day of a change.
    PGPASSWORD: '@Microsoft.KeyVault(VaultName=${databaseVault};SecretName=${databaseSecret})'
  }, empty(userTokenSecrets) ? {} : { CHATSTORE_USER_TOKEN_SECRETS: userTokenSecrets }, empty(defaultTtl) ? {} : { CHATSTORE_DEFAULT_TTL: defaultTtl }, empty(otlpEndpoint) ? {} : {
    OTEL_EXPORTER_OTLP_ENDPOINT: otlpEndpoint
    OTEL_EXPORTER_OTLP_HEADERS: otlpHeaders
  })
  dependsOn: [access]
}

// Code is published by identities only, never with a password.
resource ftp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: site
  name: 'ftp'
  properties: { allow: false }
}

resource scm 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: site
  name: 'scm'
  properties: { allow: false }
}

resource easyAuth 'Microsoft.Web/sites/config@2024-11-01' = if (auth == 'platform') {
  parent: site
  name: 'authsettingsV2'
  properties: {
    platform: { enabled: true }
    globalValidation: { requireAuthentication: true, unauthenticatedClientAction: 'Return401' }
    httpSettings: { requireHttps: true }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: { openIdIssuer: jwtIssuer, clientId: jwtAudience }
        validation: { allowedAudiences: [jwtAudience] }
      }
    }
  }
}

// A module, because the names of its assignments hold an identity that is known only when the function is there.
module access 'access.bicep' = {
  name: 'access'
  params: {
    servicePrincipalId: site.identity.principalId
    personPrincipalId: principalId
    storageName: storage.name
    insightsName: insights.name
    cosmos: cosmos
    cosmosName: cosmosName
    vaultName: databaseVault
  }
  dependsOn: [account]
}

@description('Where the service is.')
output ADDRESS string = 'https://${site.properties.defaultHostName}'

@description('CHATSTORE_URL for the command line, to make keys with.')
output STORAGE string = url

@description('What make destroy-azure takes down.')
output AZURE_RESOURCE_GROUP string = resourceGroup().name
