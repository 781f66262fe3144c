// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

//! A containerd shim for tests: runs the HTTP components of Spin artifacts. Not the Spin shim.

mod app;
mod host;
mod server;

use std::collections::BTreeMap;
use std::hash::Hash;

use anyhow::{Result, anyhow, bail};
use containerd_shim_wasm::sandbox::Sandbox;
use containerd_shim_wasm::sandbox::context::{RuntimeContext, Source, WasmLayer};
use containerd_shim_wasm::shim::{Cli, Compiler, Config, Shim, Version};
use wasmtime::Engine;

struct TestShim;

struct Compile(Engine);

#[derive(Default)]
struct App;

impl Shim for TestShim {
    type Sandbox = App;

    fn name() -> &'static str {
        "wasmfaastest"
    }

    fn version() -> Version {
        Version {
            version: env!("CARGO_PKG_VERSION"),
            ..Default::default()
        }
    }

    fn supported_layers_types() -> &'static [&'static str] {
        &[app::WASM_LAYER, app::DATA_LAYER, app::APP_LAYER]
    }

    async fn compiler() -> Option<impl Compiler> {
        Some(Compile(engine().ok()?))
    }
}

impl Compiler for Compile {
    fn cache_key(&self) -> impl Hash {
        let mut hasher = std::hash::DefaultHasher::new();
        self.0.precompile_compatibility_hash().hash(&mut hasher);
        std::hash::Hasher::finish(&hasher)
    }

    /// Layers that need no compiling are `None`, so containerd stores nothing for them.
    async fn compile(&self, layers: &[WasmLayer]) -> Result<Vec<Option<Vec<u8>>>> {
        layers
            .iter()
            .map(|layer| {
                if layer.precompiled || layer.config.media_type().to_string() != app::WASM_LAYER {
                    return Ok(None);
                }
                Ok(Some(self.0.precompile_component(&layer.layer)?))
            })
            .collect()
    }
}

impl Sandbox for App {
    /// Whatever is not an artifact ends in `run_wasi` with 137, as with the real shim, and not before the start.
    async fn can_handle(&self, _: &impl RuntimeContext) -> Result<()> {
        Ok(())
    }

    /// Runs in the container's first process, a fork without threads: the runtime has to be made here.
    async fn run_wasi(&self, context: &impl RuntimeContext) -> Result<i32> {
        let environment: BTreeMap<String, String> = context
            .envs()
            .iter()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let Source::Oci(layers) = context.entrypoint().source else {
            bail!("the image is not a Spin artifact")
        };
        let result = std::thread::scope(|scope| {
            let serve = || {
                let server = server::Server::new(&engine()?, layers, &environment)?;
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build()?;
                runtime.block_on(server.serve())?;
                // Whatever still runs must not hold the process.
                std::process::exit(0)
            };
            scope.spawn(serve).join().map_err(|_| anyhow!("the server panicked"))
        });
        // The library writes the error to containerd's log, not to the pod's, and ends the process with 137.
        result
            .and_then(|inner: Result<i32>| inner)
            .map_err(|error| anyhow!("{error:#}"))
    }
}

/// Compiles fast rather than to fast code: a test runs a function a few times.
fn engine() -> Result<Engine> {
    let mut config = wasmtime::Config::new();
    config
        .cranelift_opt_level(wasmtime::OptLevel::None)
        .cranelift_regalloc_algorithm(wasmtime::RegallocAlgorithm::SinglePass);
    Ok(Engine::new(&config)?)
}

fn main() {
    TestShim::run(Config::default());
}
