// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

//! Serves an app's HTTP triggers until the process is told to end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use containerd_shim_wasm::sandbox::context::WasmLayer;
use http_body_util::{BodyExt, Full};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio::net::TcpListener;
use wasmtime::component::{Component, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{FsPerms, WasiCtx};
use wasmtime_wasi_http::WasiHttpCtx;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::app::{LockedApp, Route};
use crate::host::{self, Hooks, State, Stores};

struct Served {
    pre: ProxyPre<State>,
    environment: BTreeMap<String, String>,
    files: PathBuf,
    values: Arc<BTreeMap<String, String>>,
    labels: Arc<Vec<String>>,
}

pub struct Server {
    routes: Vec<Route>,
    components: Vec<Served>,
    stores: Stores,
    address: SocketAddr,
}

impl Server {
    /// Loads all components of HTTP triggers. `environment` is the container's.
    pub fn new(engine: &Engine, layers: &[WasmLayer], environment: &BTreeMap<String, String>) -> Result<Self> {
        let app = LockedApp::read(layers)?;
        // The real shim needs a root that can be written, too.
        std::fs::write("/spin.json", b"{}").context("/spin.json cannot be written")?;
        let routes = app.routes()?;
        let mut components = Vec::new();
        for component in &app.components {
            let (bytes, precompiled) = component.source.find(layers)?;
            let loaded = if precompiled {
                // SAFETY: containerd's content store has it under a label that only this shim's compiler writes.
                unsafe { Component::deserialize(engine, &bytes) }
            } else {
                Component::new(engine, &bytes)
            };
            let loaded = loaded
                .map_err(anyhow::Error::from)
                .with_context(|| format!("component {}", component.id))?;
            let mut linker = host::linker(engine)?;
            host::trap_the_rest(&mut linker, &loaded)?;
            let pre = ProxyPre::new(linker.instantiate_pre(&loaded)?)
                .map_err(anyhow::Error::from)
                .with_context(|| format!("component {}: no wasi:http/incoming-handler@0.2", component.id))?;
            let labels = component
                .metadata
                .get("key_value_stores")
                .and_then(|labels| labels.as_array());
            let labels: Vec<String> = labels
                .into_iter()
                .flatten()
                .filter_map(|label| Some(label.as_str()?.to_owned()))
                .collect();
            ensure!(
                labels.iter().all(|label| label == "default"),
                "unknown key_value_stores label"
            );
            components.push(Served {
                pre,
                environment: component.env.clone(),
                files: component.mount(layers, Path::new("/assets"))?,
                values: Arc::new(app.values(component, environment)?),
                labels: Arc::new(labels),
            });
        }
        let address = environment
            .get("SPIN_HTTP_LISTEN_ADDR")
            .map_or("0.0.0.0:80", String::as_str);
        let address = address
            .parse()
            .with_context(|| format!("SPIN_HTTP_LISTEN_ADDR: {address}"))?;
        Ok(Self {
            routes,
            components,
            stores: Stores::default(),
            address,
        })
    }

    /// Ends at SIGTERM or SIGINT at once, with requests in flight, as the real shim does.
    pub async fn serve(self) -> Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let listener = TcpListener::bind(self.address)
            .await
            .with_context(|| self.address.to_string())?;
        let server = Arc::new(self);
        loop {
            tokio::select! {
                _ = terminated.recv() => return Ok(()),
                _ = interrupted.recv() => return Ok(()),
                accepted = listener.accept() => {
                    let Ok((client, peer)) = accepted else { continue };
                    let server = server.clone();
                    tokio::spawn(async move {
                        let service = hyper::service::service_fn(move |request| {
                            let server = server.clone();
                            async move { Ok::<_, std::convert::Infallible>(server.answer(request, peer).await) }
                        });
                        let connection = hyper::server::conn::http1::Builder::new();
                        let _ = connection.serve_connection(TokioIo::new(client), service).await;
                    });
                }
            }
        }
    }

    async fn answer(&self, request: Request<hyper::body::Incoming>, peer: SocketAddr) -> Response<HyperOutgoingBody> {
        let path = request.uri().path().to_owned();
        if path == "/.well-known/spin/health" {
            return plain(StatusCode::OK, "OK");
        }
        let Some((route, rest)) = self.routes.iter().find_map(|route| Some((route, route.rest(&path)?))) else {
            return plain(StatusCode::NOT_FOUND, "");
        };
        match self.run(request, route, rest.to_owned(), peer).await {
            Ok(response) => response,
            Err(error) => {
                eprintln!("{path}: {error:#}");
                plain(StatusCode::INTERNAL_SERVER_ERROR, "")
            }
        }
    }

    async fn run(
        &self,
        mut request: Request<hyper::body::Incoming>,
        route: &Route,
        rest: String,
        peer: SocketAddr,
    ) -> wasmtime::Result<Response<HyperOutgoingBody>> {
        let served = &self.components[route.component];
        let host = request
            .headers()
            .get("host")
            .and_then(|host| host.to_str().ok())
            .unwrap_or("localhost")
            .to_owned();
        let url = format!(
            "http://{host}{}",
            request.uri().path_and_query().map_or("/", |path| path.as_str())
        );
        let base = route.raw.strip_suffix("/...").unwrap_or(&route.raw);
        for (name, value) in [
            ("spin-path-info", rest.as_str()),
            ("spin-full-url", &url),
            ("spin-matched-route", &route.raw),
            ("spin-base-path", "/"),
            ("spin-raw-component-route", &route.raw),
            ("spin-component-route", base),
            ("spin-client-addr", &peer.to_string()),
        ] {
            request
                .headers_mut()
                .insert(HeaderName::from_static(name), HeaderValue::from_str(value)?);
        }
        let mut wasi = WasiCtx::builder();
        for (name, value) in &served.environment {
            wasi.env(name, value);
        }
        wasi.inherit_stderr()
            .stdout(wasmtime_wasi::cli::stderr())
            .preopened_dir(&served.files, "/", FsPerms::ReadOnly)?;
        let state = State {
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            table: ResourceTable::new(),
            hooks: Hooks,
            values: served.values.clone(),
            labels: served.labels.clone(),
            stores: self.stores.clone(),
        };
        let mut store = Store::new(served.pre.engine(), state);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let incoming =
            wasmtime_wasi_http::WasiHttpView::http(store.data_mut()).new_incoming_request(Scheme::Http, request)?;
        let outgoing = wasmtime_wasi_http::WasiHttpView::http(store.data_mut()).new_response_outparam(sender)?;
        let pre = served.pre.clone();
        // A task of its own: a component may go on after the head of its response.
        let task = tokio::spawn(async move {
            let proxy = pre.instantiate_async(&mut store).await?;
            proxy
                .wasi_http_incoming_handler()
                .call_handle(&mut store, incoming, outgoing)
                .await
        });
        match receiver.await {
            Ok(response) => Ok(response?),
            Err(_) => {
                task.await??;
                wasmtime::bail!("the component gave no response")
            }
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<HyperOutgoingBody> {
    let body = Full::new(Bytes::from_static(text.as_bytes()))
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
