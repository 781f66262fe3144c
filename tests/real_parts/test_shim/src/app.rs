// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

//! The locked app: what a Spin artifact says about its components, files, variables and routes.

use std::collections::BTreeMap;
use std::path::{Component as PathPart, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use containerd_shim_wasm::sandbox::context::WasmLayer;
use serde::Deserialize;

pub const WASM_LAYER: &str = "application/vnd.wasm.content.layer.v1+wasm";
pub const DATA_LAYER: &str = "application/vnd.wasm.content.layer.v1+data";
pub const APP_LAYER: &str = "application/vnd.fermyon.spin.application.v1+config";

#[derive(Deserialize)]
pub struct LockedApp {
    pub spin_lock_version: u32,
    #[serde(default)]
    pub variables: BTreeMap<String, Variable>,
    pub triggers: Vec<Trigger>,
    pub components: Vec<Component>,
}

#[derive(Deserialize)]
pub struct Variable {
    pub default: Option<String>,
}

#[derive(Deserialize)]
pub struct Trigger {
    pub trigger_type: String,
    pub trigger_config: TriggerConfig,
}

#[derive(Deserialize)]
pub struct TriggerConfig {
    pub component: Option<String>,
    pub route: serde_json::Value,
}

#[derive(Deserialize)]
pub struct Component {
    pub id: String,
    pub source: Content,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub files: Vec<File>,
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    #[serde(default)]
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
pub struct File {
    pub path: String,
    #[serde(flatten)]
    pub content: Content,
}

#[derive(Deserialize)]
pub struct Content {
    pub digest: Option<String>,
    pub inline: Option<String>,
}

/// A path that a trigger answers: `/a/b` only itself, `/a/...` all below and `/a` too.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub raw: String,
    pub component: usize,
}

impl LockedApp {
    pub fn read(layers: &[WasmLayer]) -> Result<Self> {
        let mut documents = layers
            .iter()
            .filter(|layer| layer.config.media_type().to_string() == APP_LAYER);
        let document = documents.next().context("the image has no layer with a locked app")?;
        ensure!(documents.next().is_none(), "the image has more than one locked app");
        let app: Self = serde_json::from_slice(&document.layer).context("the locked app cannot be read")?;
        ensure!(
            app.spin_lock_version <= 1,
            "locked app of version {}",
            app.spin_lock_version
        );
        Ok(app)
    }

    /// Routes of the HTTP triggers, the most specific first.
    pub fn routes(&self) -> Result<Vec<Route>> {
        let mut routes = Vec::new();
        for trigger in self.triggers.iter().filter(|trigger| trigger.trigger_type == "http") {
            let Some(id) = &trigger.trigger_config.component else {
                bail!("a trigger without a component is not supported here")
            };
            let component = self
                .components
                .iter()
                .position(|component| &component.id == id)
                .with_context(|| format!("no such component: {id}"))?;
            if let Some(raw) = trigger.trigger_config.route.as_str() {
                routes.push(Route {
                    raw: raw.to_owned(),
                    component,
                });
            }
        }
        ensure!(!routes.is_empty(), "the app has no HTTP trigger");
        routes.sort_by_key(|route| (route.raw.ends_with("/..."), std::cmp::Reverse(route.raw.len())));
        Ok(routes)
    }

    /// Values of a component's variables; a value that is required and not given ends the app.
    pub fn values(
        &self,
        component: &Component,
        environment: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>> {
        component
            .config
            .iter()
            .map(|(name, template)| {
                let mut value = String::new();
                let mut rest = template.as_str();
                while let Some((before, after)) = rest.split_once("{{") {
                    let (inner, after) = after
                        .split_once("}}")
                        .with_context(|| format!("{name}: '}}}}' is missing"))?;
                    let variable = inner.trim();
                    let declared = self
                        .variables
                        .get(variable)
                        .with_context(|| format!("no such variable: {variable}"))?;
                    let given = environment.get(&format!("SPIN_VARIABLE_{}", variable.to_uppercase()));
                    value.push_str(before);
                    value.push_str(
                        given
                            .or(declared.default.as_ref())
                            .with_context(|| format!("no value for variable {variable}"))?,
                    );
                    rest = after;
                }
                value.push_str(rest);
                Ok((name.clone(), value))
            })
            .collect()
    }
}

impl Content {
    /// The bytes and whether containerd has them compiled.
    pub fn find<'a>(&self, layers: &'a [WasmLayer]) -> Result<(std::borrow::Cow<'a, [u8]>, bool)> {
        if let Some(inline) = &self.inline {
            return Ok((
                STANDARD_NO_PAD
                    .decode(inline)
                    .context("inline content is not base64 without padding")?
                    .into(),
                false,
            ));
        }
        let digest = self.digest.as_deref().context("content missing expected digest")?;
        let layer = layers
            .iter()
            .find(|layer| layer.config.digest().to_string() == digest)
            .with_context(|| format!("no layer has the digest {digest}"))?;
        Ok((layer.layer.as_slice().into(), layer.precompiled))
    }
}

impl Component {
    /// Writes the component's files below `directory`.
    pub fn mount(&self, layers: &[WasmLayer], directory: &Path) -> Result<PathBuf> {
        let root = directory.join(&self.id);
        std::fs::create_dir_all(&root).with_context(|| root.display().to_string())?;
        for file in &self.files {
            let path = Path::new(&file.path);
            ensure!(
                path.components().all(|part| matches!(part, PathPart::Normal(_))),
                "path of a file: {}",
                file.path
            );
            let target = root.join(path);
            std::fs::create_dir_all(target.parent().unwrap_or(&root))?;
            std::fs::write(&target, file.content.find(layers)?.0)?;
        }
        Ok(root)
    }
}

impl Route {
    /// What of the path is behind the route, if the route answers it.
    pub fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        match self.raw.strip_suffix("/...") {
            Some(prefix) => path
                .strip_prefix(prefix)
                .filter(|rest| rest.is_empty() || rest.starts_with('/')),
            None => (path.trim_end_matches('/') == self.raw.trim_end_matches('/')).then_some(""),
        }
    }
}
