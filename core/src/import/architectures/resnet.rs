//! ResNets from their tensors: depth, widths, kind of block, groups and classes follow from names and
//! shapes.

use super::resnet_names::{Names, Place};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Dim, Graph, Op, Output, Value, ValueId, ValueKind, infer_shapes, validate};
use crate::import::safetensors::StoredTensors;
use crate::tensor::{DType, Tensor};
use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::Window;
use std::collections::HashSet;

/// Added to the variance by torchvision, timm and Hugging Face alike.
const EPSILON: f32 = 1e-5;

/// How many surplus tensors a message names.
const NAMED_TENSORS: usize = 5;

/// What tensors do not tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResNetOptions {
    /// Height and width of the pictures.
    pub input_size: [usize; 2],
    /// After each batch norm; ReLU as a rule.
    pub activation: Activation,
    /// Whether the first stage halves the picture too (Hugging Face's `downsample_in_first_stage`).
    pub downsample_in_first_stage: bool,
    /// Whether a bottleneck has its stride on the first 1x1 convolution, as in the paper, and not on the
    /// 3x3 one, as in torchvision (Hugging Face's `downsample_in_bottleneck`).
    pub downsample_in_bottleneck: bool,
}

impl ResNetOptions {
    /// torchvision's ResNet for pictures of this size.
    pub fn new(input_size: [usize; 2]) -> Self {
        Self {
            input_size,
            activation: Activation::Relu,
            downsample_in_first_stage: false,
            downsample_in_bottleneck: false,
        }
    }
}

/// The residual network (He et al. 2015, arXiv:1512.03385; groups as in ResNeXt, arXiv:1611.05431) that
/// `tensors` are the weights of, with output `logits`. Fails with `OPERATOR_UNSUPPORTED` if they are of
/// another network, and with `MODEL_INVALID` naming a tensor that is missing, surplus or of a wrong shape.
pub fn resnet(tensors: &StoredTensors, options: &ResNetOptions) -> Result<Graph> {
    let names = Names::recognise(tensors).ok_or_else(|| not_a_resnet(tensors))?;
    let mut builder = Builder { tensors, names, options, graph: Graph::default(), used: HashSet::new() };
    let [height, width] = options.input_size;
    let input = builder.graph.add_value(Value {
        name: "input".into(),
        kind: ValueKind::Input,
        dtype: DType::F32,
        shape: Some(vec![Dim::Batch, Dim::Fixed(3), Dim::Fixed(height), Dim::Fixed(width)]),
    });
    builder.graph.inputs.push(input);
    let logits = builder.network(input)?;
    builder.check_surplus()?;
    let mut graph = builder.graph;
    graph.outputs.push(Output { name: "logits".into(), value: logits });
    infer_shapes(&mut graph)?;
    validate(&graph)?;
    Ok(graph)
}

fn not_a_resnet(tensors: &StoredTensors) -> Error {
    let found: Vec<&str> = tensors.keys().take(3).map(String::as_str).collect();
    Error::new(
        ErrorKind::OperatorUnsupported,
        format!(
            "its tensors are not those of a ResNet as torchvision, timm or Hugging Face name them (found \
             {found:?} ...); export other networks as ONNX"
        ),
    )
}

struct Builder<'t> {
    tensors: &'t StoredTensors,
    names: Names,
    options: &'t ResNetOptions,
    graph: Graph,
    used: HashSet<String>,
}

impl Builder<'_> {
    fn network(&mut self, input: ValueId) -> Result<ValueId> {
        let stem = self.stem_window()?;
        let mut x = self.convolution(input, Place::Stem, stem, 1)?;
        x = self.activate(x, Place::Stem);
        x = self.node("maxpool", Op::MaxPool { window: Window::square(3, 2, 1) }, vec![x]);
        let mut stage = 0;
        while self.has(Place::Block { stage, block: 0, number: 1 }) {
            let mut block = 0;
            while self.has(Place::Block { stage, block, number: 1 }) {
                x = self.block(x, stage, block)?;
                block += 1;
            }
            stage += 1;
        }
        x = self.node("avgpool", Op::GlobalAveragePool { keep_dims: true }, vec![x]);
        x = self.node("flatten", Op::Flatten, vec![x]);
        let classifier = self.names.classifier();
        let weights = self.constant(&format!("{classifier}.weight"))?;
        let bias_name = format!("{classifier}.bias");
        let has_bias = self.tensors.contains_key(&bias_name);
        let mut inputs = vec![x, weights];
        if has_bias {
            inputs.push(self.constant(&bias_name)?);
        }
        Ok(self.node(&classifier, Op::Linear { has_bias, activation: Activation::Identity }, inputs))
    }

    /// The first convolution has a window of 7, stride 2; that of a deep stem or of one for small pictures
    /// is another network.
    fn stem_window(&self) -> Result<Window> {
        match self.weight_shape(Place::Stem)? {
            [_, _, 7, 7] => Ok(Window::square(7, 2, 3)),
            shape => Err(Error::new(
                ErrorKind::OperatorUnsupported,
                format!(
                    "tensor {:?}: a first convolution of shape {shape:?}, expected a window of 7x7; export \
                     this variant as ONNX",
                    self.weight_name(Place::Stem)
                ),
            )),
        }
    }

    /// A basic block of two 3x3 convolutions, or a bottleneck of 1x1, 3x3 and 1x1, beside its shortcut.
    fn block(&mut self, x: ValueId, stage: usize, block: usize) -> Result<ValueId> {
        let place = |number| Place::Block { stage, block, number };
        let halves = block == 0 && (stage > 0 || self.options.downsample_in_first_stage);
        let stride = if halves { 2 } else { 1 };
        let convolutions = if self.has(place(3)) { 3 } else { 2 };
        let strided = match (convolutions, self.options.downsample_in_bottleneck) {
            (3, false) => 2,
            _ => 1,
        };
        let mut y = x;
        let mut channels = None;
        for number in 1..=convolutions {
            let [out_channels, in_channels, height, width] = self.weight_shape(place(number))?;
            let stride = if number == strided { stride } else { 1 };
            // Same size of the result for odd windows, which is what these networks have.
            let mut window = Window::square(height, stride, height / 2);
            if height != width || height % 2 == 0 {
                return Err(self.invalid(place(number), "expected an odd, square window"));
            }
            window.size = [height, width];
            let groups = match channels {
                None => 1,
                Some(channels) if in_channels > 0 && channels % in_channels == 0 => channels / in_channels,
                Some(_) => {
                    return Err(self.invalid(place(number), "it does not fit the convolution before it"));
                }
            };
            channels = Some(out_channels);
            y = self.convolution(y, place(number), window, groups)?;
            if number < convolutions {
                y = self.activate(y, place(number));
            }
        }
        let shortcut = Place::Shortcut { stage, block };
        let residual = match self.has(shortcut) {
            true => self.convolution(x, shortcut, Window::square(1, stride, 0), 1)?,
            // Where the sizes differ, the sum would not fit: the shortcut's tensors are missing.
            false if halves => return Err(missing(&self.weight_name(shortcut))),
            false => x,
        };
        let name = self.names.convolution(place(convolutions));
        let sum = Op::Add { activation: Activation::Identity };
        let sum = self.node(&format!("{name}.add"), sum, vec![y, residual]);
        Ok(self.activate(sum, place(convolutions)))
    }

    fn convolution(&mut self, x: ValueId, place: Place, window: Window, groups: usize) -> Result<ValueId> {
        let (convolution, batch_norm) = (self.names.convolution(place), self.names.batch_norm(place));
        let weights = self.constant(&self.weight_name(place))?;
        let op = Op::Conv2d {
            window,
            groups,
            has_bias: false,
            has_residual: false,
            activation: Activation::Identity,
        };
        let y = self.node(&convolution, op, vec![x, weights]);
        let mut inputs = vec![y];
        for part in ["weight", "bias", "running_mean", "running_var"] {
            inputs.push(self.constant(&format!("{batch_norm}.{part}"))?);
        }
        Ok(self.node(&batch_norm, Op::BatchNorm { epsilon: EPSILON }, inputs))
    }

    fn activate(&mut self, x: ValueId, place: Place) -> ValueId {
        let name = format!("{}.activation", self.names.convolution(place));
        self.node(&name, Op::Activate(self.options.activation), vec![x])
    }

    fn node(&mut self, name: &str, op: Op, inputs: Vec<ValueId>) -> ValueId {
        self.graph.add_node(name, op, inputs, format!("{name}.out"))
    }

    fn constant(&mut self, name: &str) -> Result<ValueId> {
        let tensor: Tensor = self.tensors.get(name).ok_or_else(|| missing(name))?.to_f32(name)?;
        self.used.insert(name.into());
        Ok(self.graph.add_constant(name, tensor))
    }

    fn has(&self, place: Place) -> bool {
        self.tensors.contains_key(&self.weight_name(place))
    }

    fn weight_name(&self, place: Place) -> String {
        format!("{}.weight", self.names.convolution(place))
    }

    fn weight_shape(&self, place: Place) -> Result<[usize; 4]> {
        let name = self.weight_name(place);
        let tensor = self.tensors.get(&name).ok_or_else(|| missing(&name))?;
        tensor.shape().try_into().map_err(|_| self.invalid(place, "expected four axes"))
    }

    fn invalid(&self, place: Place, expected: &str) -> Error {
        let name = self.weight_name(place);
        let shape = self.tensors.get(&name).map(|tensor| tensor.shape().to_vec()).unwrap_or_default();
        Error::new(ErrorKind::ModelInvalid, format!("tensor {name:?} has shape {shape:?}: {expected}"))
    }

    /// Every tensor must have found its place, except the counters of training.
    fn check_surplus(&self) -> Result<()> {
        let surplus: Vec<&str> = self
            .tensors
            .keys()
            .map(String::as_str)
            .filter(|name| !self.used.contains(*name) && !name.ends_with("num_batches_tracked"))
            .collect();
        if surplus.is_empty() {
            return Ok(());
        }
        let named = &surplus[..surplus.len().min(NAMED_TENSORS)];
        Err(Error::new(
            ErrorKind::ModelInvalid,
            format!(
                "{} tensors have no place in this ResNet, the first of them {named:?}; export a variant as ONNX",
                surplus.len()
            ),
        ))
    }
}

fn missing(name: &str) -> Error {
    Error::new(ErrorKind::ModelInvalid, format!("tensor {name:?} is missing"))
}
