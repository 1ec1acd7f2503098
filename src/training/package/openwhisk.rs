//! The texts that deploy an image: on OpenWhisk for wskdeploy, wsk and the serverless framework, and on Kubernetes.
//!
//! Package, four actions, the sequence `score` over three of them as a web action. Every action names its stage by `main`;
//! where that can't be said (serverless), by the image's tag.

use crate::scoring::stage::Stage;

/// What the texts are filled with; names are such as OpenWhisk and a shell take as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment<'a> {
    pub package: &'a str,
    /// `repository:tag`.
    pub image: &'a str,
    pub memory_mb: u32,
    /// A trigger that fires the sequence, and the rule between them.
    pub trigger: Option<&'a str>,
}

/// Per activation; `/init` has as much again.
pub const TIMEOUT_MS: u32 = 60_000;

/// `manifest.yaml` for `wskdeploy -m manifest.yaml`.
pub fn manifest_yaml(deployment: &Deployment) -> String {
    let Deployment { package, image, memory_mb, trigger } = deployment;
    let events = trigger.map_or(String::new(), |trigger| {
        format!(
            "    triggers:\n      {trigger}:\n    rules:\n      {package}-{trigger}:\n        trigger: {trigger}\n        action: score\n"
        )
    });
    let limits = format!("{{ timeout: {TIMEOUT_MS}, memorySize: {memory_mb}, logSize: 1 }}");
    let actions: String = Stage::ALL
        .iter()
        .map(|stage| {
            let name = stage.as_str();
            format!("      {name}:\n        docker: {image}\n        main: {name}\n        limits: {limits}\n")
        })
        .collect();
    format!(
        "\
# Deploy with: wskdeploy -m manifest.yaml
project:
  name: \"{package}\"
packages:
  \"{package}\":
    version: 1.0
    license: Apache-2.0
    actions:
{actions}    sequences:
      score:
        actions: transform, encode, predict
        web: true
    apis:
      {package}-api:
        \"{package}\":
          score:
            score: {{ method: POST, response: json }}
{events}"
    )
}

/// `deploy.sh` for people with `wsk`; may be run again.
pub fn deploy_sh(deployment: &Deployment) -> String {
    let Deployment { package, image, memory_mb, trigger } = deployment;
    let events = trigger.map_or(String::new(), |trigger| {
        format!("$WSK trigger update {trigger}\n$WSK rule update {package}-{trigger} {trigger} {package}/score\n")
    });
    let stages = Stage::ALL.map(Stage::as_str).join(" ");
    format!(
        "\
#!/bin/sh
# Deploys the actions with wsk, again and again if need be. The image must be where the invokers find it:
#   docker load -i image.tar && docker push {image}
# WSK names another wsk (or adds flags), IMAGE a copy of the image under another name.
set -eu
WSK=${{WSK:-wsk}}
IMAGE=${{IMAGE:-{image}}}

$WSK package update {package}
for stage in {stages}; do
  $WSK action update \"{package}/$stage\" --docker \"$IMAGE\" --main \"$stage\" \\
    --memory {memory_mb} --timeout {TIMEOUT_MS} --logsize 1
done
$WSK action update {package}/score --sequence {package}/transform,{package}/encode,{package}/predict --web true
{events}
echo 'try: wsk action invoke {package}/score --result --param-file record.json'
"
    )
}

/// `serverless.yml` for the serverless framework with its plugin `serverless-openwhisk`.
pub fn serverless_yml(deployment: &Deployment) -> String {
    let Deployment { package, image, memory_mb, .. } = deployment;
    let function = |stage: &Stage| {
        let name = stage.as_str();
        format!("  {name}:\n    name: {package}/{name}\n    runtime: docker\n    handler: {image}-{name}\n")
    };
    let functions: String = Stage::ALL.iter().map(function).collect();
    format!(
        "\
# Deploy with: serverless deploy (needs the plugin serverless-openwhisk)
service: \"{package}\"
provider:
  name: openwhisk
  memory: {memory_mb}
  timeout: {}
plugins:
  - serverless-openwhisk
functions:
{functions}  score:
    name: {package}/score
    sequence: [transform, encode, predict]
    annotations: {{ web-export: true }}
",
        TIMEOUT_MS / 1000
    )
}

/// `kubernetes.yaml`: a Knative service, or what `kubectl apply` takes without Knative.
pub fn kubernetes_yaml(deployment: &Deployment) -> String {
    let Deployment { package, image, memory_mb, .. } = deployment;
    // Names of Kubernetes know `-` alone.
    let name = package.replace(['_', '.'], "-");
    let container = |indent: &str| {
        let lines = [
            "- name: score".to_owned(),
            format!("  image: {image}-pipeline"),
            "  ports: [{ containerPort: 8080 }]".to_owned(),
            "  readinessProbe: { httpGet: { path: /healthz, port: 8080 } }".to_owned(),
            format!(
                "  resources: {{ requests: {{ cpu: 100m, memory: {memory_mb}Mi }}, limits: {{ memory: {memory_mb}Mi }} }}"
            ),
            "  securityContext:".to_owned(),
            "    runAsNonRoot: true".to_owned(),
            "    readOnlyRootFilesystem: true".to_owned(),
            "    allowPrivilegeEscalation: false".to_owned(),
            "    capabilities: { drop: [ALL] }".to_owned(),
        ];
        lines.map(|line| format!("{indent}{line}\n")).concat()
    };
    format!(
        "\
# Plain Kubernetes: kubectl apply -f kubernetes.yaml, then POST a record to the service's path /score; GET /metrics.
# With Knative: delete the two documents below and use the third.
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: {name}, labels: {{ app: {name} }} }}
spec:
  replicas: 1
  selector: {{ matchLabels: {{ app: {name} }} }}
  template:
    metadata:
      labels: {{ app: {name} }}
      annotations: {{ prometheus.io/scrape: \"true\", prometheus.io/port: \"8080\" }}
    spec:
      containers:
{}---
apiVersion: v1
kind: Service
metadata: {{ name: {name} }}
spec:
  selector: {{ app: {name} }}
  ports: [{{ port: 80, targetPort: 8080 }}]
---
# apiVersion: serving.knative.dev/v1
# kind: Service
# metadata: {{ name: {name} }}
# spec:
#   template:
#     spec:
#       containers:
{}",
        container("        "),
        container("#         "),
    )
}
