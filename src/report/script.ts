/**
 * The page's whole script. Without it everything is visible; with it the reader chooses what is shown, and points at a mark (or walks over the marks
 * with the arrow keys) to read its numbers. All listeners stand on the document, and a panel's marks are read once, when it is first met, into
 * arrays; the mark itself is never touched (that would paint its whole panel again), a ring is laid over it. It stores nothing and asks nobody for anything.
 */
export const SCRIPT = `
"use strict";
const root=document.documentElement,find=(selector,within=document)=>within.querySelector(selector),all=(selector,within=document)=>[...within.querySelectorAll(selector)];
const button=find("#theme");
const dark=()=>root.dataset.theme?root.dataset.theme==="dark":matchMedia("(prefers-color-scheme: dark)").matches;
const say=()=>{button.textContent=dark()?"light":"dark";button.setAttribute("aria-label","Show the page in "+button.textContent+" colours")};
button.hidden=false;say();
button.addEventListener("click",()=>{root.dataset.theme=dark()?"light":"dark";say()});

const form=find("#choice"),sheet=document.styleSheets[0],hiddenRule=sheet.insertRule("#nothing{display:none}",sheet.cssRules.length);
let hidden="";
const choose=()=>{
  const gone={c:new Set(),s:new Set(),b:new Set()};
  for(const input of all("input",form))if(!input.checked)for(const value of input.value.split(" "))gone[input.name].add(value);
  const selectors=Object.entries(gone).flatMap(([name,values])=>[...values].map((value)=>"[data-"+name+'="'+value+'"]'));
  hidden=selectors.join(",");
  sheet.cssRules[hiddenRule].selectorText="main :is("+(hidden||"#nothing")+")";
  for(const drawing of all(".drawing"))drawing.toggleAttribute("data-empty",hidden!==""&&find(".panel",drawing)!==null&&!all(".panel",drawing).some(shows));
  find("#chosen").textContent=hidden===""?"":"some are hidden";
  quiet();
};
const shows=(panel)=>{
  if(panel.matches(hidden))return false;
  const marks=panel.getElementsByTagName("*");
  let tagged=false;
  for(const mark of marks)if(mark.hasAttribute("data-t")){tagged=true;if(!mark.closest(hidden))return true}
  return !tagged;
};
if(form){
  find("#choose").hidden=false;
  form.addEventListener("change",choose);
  form.addEventListener("reset",()=>setTimeout(choose));
  form.addEventListener("submit",(event)=>event.preventDefault());
}

const tip=find("#tip"),ring=find("#ring"),panels=new WeakMap();
let current,frame=0;
const centre=(mark)=>{
  const place=/translate\\(([-\\d.]+)[ ,]([-\\d.]+)/.exec(mark.getAttribute("transform")||"");
  const number=(name)=>Number(mark.getAttribute(name)||0);
  if(mark.localName==="circle")return [number("cx"),number("cy")];
  if(mark.localName==="rect")return [number("x")+number("width")/2,number("y")+number("height")/2];
  return place?[Number(place[1]),Number(place[2])]:[0,0];
};
const marksOf=(svg)=>{
  let known=panels.get(svg);
  if(!known){
    const marks=all("[data-t]",svg),xs=new Float32Array(marks.length),ys=new Float32Array(marks.length);
    marks.forEach((mark,i)=>{[xs[i],ys[i]]=centre(mark)});
    panels.set(svg,known={marks,xs,ys});
  }
  return known;
};
const visible=(mark)=>hidden===""||!mark.closest(hidden);
const nearest=(svg,event)=>{
  const {marks,xs,ys}=marksOf(svg);
  if(marks.length===0)return;
  const box=svg.getBoundingClientRect(),scale=box.width/svg.viewBox.baseVal.width;
  const x=(event.clientX-box.left)/scale,y=(event.clientY-box.top)/scale,reach=marks[0].localName==="rect"?60:22/scale;
  let best=-1,least=reach*reach;
  for(let i=0;i<marks.length;i++){
    const dx=xs[i]-x,dy=ys[i]-y,far=dx*dx+dy*dy;
    if(far<least&&visible(marks[i])){least=far;best=i}
  }
  return best<0?null:marks[best];
};
const quiet=()=>{current=null;tip.hidden=true;ring.hidden=true};
const point=(mark)=>{
  if(mark===current)return;
  quiet();
  current=mark;
  tip.textContent=mark.getAttribute("data-t");
  tip.hidden=false;
  ring.hidden=false;
  const at=mark.getBoundingClientRect(),size=tip.getBoundingClientRect(),edge=document.documentElement.clientWidth;
  const left=Math.min(Math.max(8,at.left+at.width/2-size.width/2),edge-size.width-8);
  const top=at.top-size.height-10>4?at.top-size.height-10:at.bottom+10;
  ring.style.transform="translate("+(at.left-3)+"px,"+(at.top-3)+"px)";
  ring.style.width=at.width+6+"px";
  ring.style.height=at.height+6+"px";
  tip.style.left=left+"px";
  tip.style.top=top+"px";
};
const overPlot=(event)=>{const svg=event.target.closest&&event.target.closest(".panel svg");return svg||null};
document.addEventListener("pointermove",(event)=>{
  if(frame)return;
  frame=requestAnimationFrame(()=>{
    frame=0;
    const svg=overPlot(event),mark=svg&&nearest(svg,event);
    if(mark)point(mark);else if(!document.activeElement||!document.activeElement.closest(".drawing")||event.pointerType!=="mouse"||svg)quiet();
  });
},{passive:true});
document.addEventListener("pointerdown",(event)=>{const svg=overPlot(event),mark=svg&&nearest(svg,event);if(mark)point(mark);else quiet()},{passive:true});
document.addEventListener("scroll",(event)=>{if(event.target===document&&!walking)quiet()},{passive:true});
let walking=false;
document.addEventListener("keydown",(event)=>{
  if(event.key==="Escape")return quiet();
  const drawing=event.target.closest&&event.target.closest(".drawing");
  const step={ArrowRight:1,ArrowLeft:-1,Home:-1e9,End:1e9}[event.key];
  if(!drawing||step===void 0||event.target!==drawing)return;
  const marks=all("[data-t]",drawing).filter(visible);
  if(marks.length===0)return;
  event.preventDefault();
  const here=marks.indexOf(current),next=here<0&&Math.abs(step)===1?(step>0?0:marks.length-1):Math.min(marks.length-1,Math.max(0,here+step));
  walking=true;
  marks[next].scrollIntoView({block:"nearest",inline:"nearest",behavior:"instant"});
  requestAnimationFrame(()=>{point(marks[next]);requestAnimationFrame(()=>{walking=false})});
});
document.addEventListener("focusout",(event)=>{if(event.target.classList&&event.target.classList.contains("drawing"))quiet()});

const reveal=()=>{
  const target=location.hash.length>1&&document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if(!target)return;
  for(let at=target;at;at=at.parentElement)if(at.localName==="details")at.open=true;
  target.scrollIntoView();
};
addEventListener("hashchange",reveal);
if(location.hash)reveal();
document.addEventListener("click",(event)=>{
  const link=event.target.closest&&event.target.closest(".contents a");
  if(link)find(".contents").open=false;
  if(!matchMedia("(min-width:1280px)").matches)for(const folded of all(".bar details[open]"))if(!folded.contains(event.target))folded.open=false;
});
`;
